"""Overlap of the foreground map with its pseudo-label.

Milletari, Navab and Ahmadi, "V-Net: Fully Convolutional Neural Networks for Volumetric Medical Image Segmentation",
3DV 2016.
"""

from torch import Tensor

PIXELS = (1, 2, 3)  # T, H, W of (N, T, H, W)


def weighted_dice(logits: Tensor, foreground: Tensor, weights: Tensor) -> Tensor:
    """Soft Dice loss ``1 − 2 Σ φ·p·y / (Σ φ·p + Σ φ·y)`` of each clip, averaged over the clips.

    The weights of the pseudo-labels stand inside the sums; one pixel is added above and below, so that a clip
    rightly predicted empty costs nothing.

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
