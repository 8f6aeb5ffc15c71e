"""A training loop in one page, to see whether a detector can learn a handful of clips by heart."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.interface import ClassConditioned, DetectorOutput


def overfit(
    detector: nn.Module,
    clips: Tensor,
    masks: Tensor,
    classes: Tensor,
    steps: int,
    learning_rate: float,
) -> tuple[Tensor, Tensor]:
    """Trains on all clips at every step, then looks at what the detector says without labels and dropout.

    Args:
        detector: Fresh.
        clips: (N, 3, T, H, W) in [-1, 1].
        masks: (N, T, H, W), bool.
        classes: (N,), class ids.
        steps: Of Adam.
        learning_rate: Reached after a tenth of the steps, then falling to 0 along a cosine.

    Returns:
        Mask IoU of each clip, mean over its frames, (N,), and the predicted classes, (N,).
    """
    detector.train()
    optimiser = torch.optim.Adam(detector.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, steps, pct_start=0.1)
    for step in range(steps):
        output = detector(clips, classes) if isinstance(detector, ClassConditioned) else detector(clips)
        loss = mask_loss(output.mask_logits, masks) + class_loss(output, masks, classes, step / (steps - 1))
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimiser.step()
        schedule.step()
    detector.eval()
    with torch.inference_mode():
        output = detector(clips)
    return frame_ious(output.mask_logits.sigmoid() > 0.5, masks), output.class_scores.argmax(dim=1)


def mask_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """BCE + Dice, each clip by itself."""
    truth = masks.float()
    probabilities = logits.sigmoid()
    common = (probabilities * truth).sum(dim=(1, 2, 3))
    dice = 1.0 - (2.0 * common + 1.0) / (probabilities.sum(dim=(1, 2, 3)) + truth.sum(dim=(1, 2, 3)) + 1.0)
    return F.binary_cross_entropy_with_logits(logits, truth) + dice.mean()


def class_loss(output: DetectorOutput, masks: Tensor, classes: Tensor, progress: float) -> Tensor:
    """The spread loss for capsules, whose margin rises from 0.2 to 0.9; cross-entropy of the cells for others."""
    if output.class_maps is None:
        margin = 0.2 + 0.7 * progress
        activations = output.class_scores.sigmoid()
        of_class = activations.gather(1, classes.unsqueeze(1))
        others = F.one_hot(classes, activations.shape[1]) == 0
        return ((margin - (of_class - activations)).clamp_min(0.0).square() * others).sum(dim=1).mean()
    cells = F.adaptive_avg_pool2d(masks.float(), output.class_maps.shape[-2:])  # (N, T, h, w)
    pooled = (output.class_maps * cells.unsqueeze(1)).sum(dim=(2, 3, 4)) / cells.sum(dim=(1, 2, 3)).unsqueeze(1)
    return F.cross_entropy(pooled, classes)


def frame_ious(predicted: Tensor, truth: Tensor) -> Tensor:
    """(N, T, H, W) twice, bool, to the mean over the frames of each clip, (N,); truth is never empty."""
    common = (predicted & truth).sum(dim=(2, 3))
    either = (predicted | truth).sum(dim=(2, 3))
    return (common / either).mean(dim=1)
