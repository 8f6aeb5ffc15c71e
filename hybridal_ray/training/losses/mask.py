"""Losses of the foreground map, weighted pixel by pixel, each clip normalised by its own weights.

Normalising a clip at a time, not a batch at a time, makes the mean over workers equal the mean over the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

PIXELS = (1, 2, 3)  # T, H, W of (N, T, H, W)


def weighted_bce(logits: Tensor, foreground: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy ``Σ φ·BCE / Σ φ`` of each clip, averaged over the clips (method §7).

    The weights multiply the loss, never the logits.

    Args:
        logits: (N, T, H, W).
        foreground: (N, T, H, W), in [0, 1].
        weights: φ, (N, T, H, W), in [0, 1]. A clip whose weights are all zero adds nothing.

    Returns:
        Scalar.
    """
    per_pixel = F.binary_cross_entropy_with_logits(logits, foreground, reduction="none")
    total = weights.sum(dim=PIXELS)
    return torch.where(total > 0, (weights * per_pixel).sum(dim=PIXELS) / total.clamp_min(1e-6), 0.0).mean()


def weighted_dice(logits: Tensor, foreground: Tensor, weights: Tensor) -> Tensor:
    """Soft Dice loss ``1 − 2 Σ φ·p·y / (Σ φ·p + Σ φ·y)`` of each clip, averaged over the clips.

    Milletari, Navab and Ahmadi, "V-Net", 3DV 2016, with the weights of the pseudo-labels inside the sums and one
    pixel added above and below, so that a clip rightly predicted empty costs nothing.

    Args:
        logits: (N, T, H, W).
        foreground: (N, T, H, W), in [0, 1].
        weights: φ, (N, T, H, W), in [0, 1]. A clip whose weights are all zero adds nothing.

    Returns:
        Scalar in [0, 1].
    """
    probabilities = logits.sigmoid()
    common = (weights * probabilities * foreground).sum(dim=PIXELS)
    either = (weights * probabilities).sum(dim=PIXELS) + (weights * foreground).sum(dim=PIXELS)
    return (1.0 - (2.0 * common + 1.0) / (either + 1.0)).mean()
