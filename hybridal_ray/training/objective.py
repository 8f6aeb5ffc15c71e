"""The loss of a batch: the terms of method §7 and §4, put together."""

import torch
from torch import Tensor

from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.training.losses.actor_class import actor_class_loss
from hybridal_ray.training.losses.bce import weighted_bce
from hybridal_ray.training.losses.deep_clustering import clustering_loss
from hybridal_ray.training.losses.dice import weighted_dice
from hybridal_ray.training.settings import LossSettings


def batch_loss(
    output: DetectorOutput,
    instances: Tensor,
    weights: Tensor,
    actor_classes: Tensor,
    *,
    settings: LossSettings,
    progress: float,
    centres: Tensor | None = None,
    beta: float = 0.0,
) -> dict[str, Tensor]:
    """The terms of the loss by name, each the mean over the clips of the batch, and their sum as ``loss``.

    Args:
        output: Of the detector on N clips.
        instances: (N, T, H, W), integer; 0 for background, i + 1 on the pixels of actor i.
        weights: φ, (N, T, H, W), in [0, 1].
        actor_classes: (N, M), class ids, −1 where a clip has fewer than M actors.
        settings: Kinds and weights of the terms.
        progress: Share of the training that is done, in [0, 1].
        centres: (K, D), of deep clustering; None leaves its term out.
        beta: β, the weight of that term.
    """
    logits = output.mask_logits.float()
    foreground = (instances > 0).to(logits.dtype)
    terms = {
        "mask_loss": weighted_bce(logits, foreground, weights)
        + settings.dice * weighted_dice(logits, foreground, weights),
        "class_loss": actor_class_loss(
            output, instances, weights, actor_classes, kind=settings.class_loss, progress=progress
        ),
    }
    total = terms["mask_loss"] + settings.classes * terms["class_loss"] + _nothing_of(output)
    if centres is not None:
        terms["clustering_loss"] = clustering_loss(output.latent, centres)
        total = total + beta * terms["clustering_loss"]
    terms["loss"] = total
    return terms


def _nothing_of(output: DetectorOutput) -> Tensor:
    """0, with a gradient of 0 to all outputs: DDP waits for the parameters of those too that no term looks at yet."""
    outputs = [output.latent, output.class_scores, *([] if output.class_maps is None else [output.class_maps])]
    return torch.stack([each.float().mul(0).nan_to_num().sum() for each in outputs]).sum()
