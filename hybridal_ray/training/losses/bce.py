"""Binary cross-entropy of the foreground map, weighted pixel by pixel (method §7)."""

import torch
import torch.nn.functional as F
from torch import Tensor

PIXELS = (1, 2, 3)  # T, H, W of (N, T, H, W)


def weighted_bce(logits: Tensor, foreground: Tensor, weights: Tensor) -> Tensor:
    """Binary cross-entropy ``Σ φ·BCE / Σ φ`` of each clip, averaged over the clips (method §7).

    The weights multiply the loss, never the logits. Normalising a clip at a time, not a batch at a time, makes the
    mean over workers equal the mean over the batch.

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
