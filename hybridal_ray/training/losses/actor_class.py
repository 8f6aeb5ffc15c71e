"""Loss of the classes: each actor of a clip is classified by the cells that lie under its own mask."""

import torch
import torch.nn.functional as F
from torch import Tensor

from hybridal_ray.detectors.interface import DetectorOutput


def actor_class_loss(output: DetectorOutput, instances: Tensor, weights: Tensor, actor_classes: Tensor) -> Tensor:
    """Cross-entropy of each actor's pooled class logits: mean over the actors of a clip, then over the clips.

    A detector without class maps is given one class a clip, that of the actor with the largest weighted area.

    Args:
        output: Of the detector.
        instances: (N, T, H, W), integer; 0 for background, i + 1 on the pixels of actor i.
        weights: φ, (N, T, H, W): pseudo-labels far from a labelled frame count little in the pooling as well.
        actor_classes: (N, M), class ids, −1 where a clip has fewer than M actors.

    Returns:
        Scalar; clips without actors add nothing.
    """
    actors = actor_classes.shape[1]
    if actors == 0:
        return output.class_scores.sum() * 0.0
    of_actor = F.one_hot(instances.long(), actors + 1)[..., 1:] * weights.unsqueeze(-1)  # (N, T, H, W, M)
    areas = of_actor.sum(dim=(1, 2, 3))  # (N, M)
    present = (areas > 0) & (actor_classes >= 0)
    if output.class_maps is None:
        largest = torch.where(present, areas, -1.0).argmax(dim=1)
        logits = output.class_scores.unsqueeze(1)  # (N, 1, C)
        targets = actor_classes.gather(1, largest.unsqueeze(1))
        present = present.any(dim=1, keepdim=True)
    else:
        maps = output.class_maps.float()
        shares = F.adaptive_avg_pool2d(of_actor.permute(0, 1, 4, 2, 3).flatten(0, 1), (maps.shape[-2], maps.shape[-1]))
        shares = shares.unflatten(0, instances.shape[:2])  # (N, T, M, h, w)
        pooled = torch.einsum("ntmhw,ncthw->nmc", shares, maps)
        logits = pooled / shares.sum(dim=(1, 3, 4)).clamp_min(1e-6).unsqueeze(-1)
        targets = actor_classes
    per_actor = F.cross_entropy(logits.flatten(0, 1), targets.clamp_min(0).flatten(), reduction="none")
    per_actor = per_actor.view(targets.shape) * present
    return (per_actor.sum(dim=1) / present.sum(dim=1).clamp_min(1)).mean()
