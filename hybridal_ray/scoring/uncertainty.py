"""How unsure the detector is of each frame, from R passes of Monte Carlo Dropout."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Reading = Literal["mean_of_log", "log_of_mean"]
Reduction = Literal["mean", "sum"]

LEAST_PROBABILITY = 1e-6  # keeps −log finite: no pixel can score more than 13.8


@dataclass(frozen=True)
class FrameUncertainty:
    """What T frames of a clip score.

    Attributes:
        scores: (T,), float64; natural logarithm, 0 where the detector is certain.
        empty: (T,), bool, frames on which no foreground is predicted; they score `empty_frame_score`.
    """

    scores: Tensor
    empty: Tensor


def frame_uncertainty(
    probabilities: Tensor,
    *,
    reading: Reading,
    reduction: Reduction,
    foreground_threshold: float,
    empty_frame_score: float,
) -> FrameUncertainty:
    """Scores the frames of one clip over their predicted foreground.

    With M(p, k) the foreground probability of pixel p in pass k, clamped to [1e-6, 1], a pixel scores
    U(p) = (1/R) Σ_k −log M(p, k) (Rana and Rawat, CVPR 2023, their equation for U with exactly R terms), or
    −log of (1/R) Σ_k M(p, k). By Jensen's inequality the first is never smaller. A frame scores the mean or the
    sum of U over its foreground, {p : (1/R) Σ_k M(p, k) > θ}; over all pixels, confident background would dominate.

    Args:
        probabilities: (R, T, H, W), in [0, 1].
        reading: ``mean_of_log`` or ``log_of_mean``.
        reduction: ``mean`` or ``sum`` over the foreground's pixels.
        foreground_threshold: θ, in [0, 1).
        empty_frame_score: What a frame without foreground gets.

    Returns:
        Scores on the device of `probabilities`.

    Raises:
        ValueError: A probability is not a number (the detector diverged), or an option is unknown.
    """
    if reading not in get_args(Reading):
        raise ValueError(f"reading is {reading!r}, expected one of {get_args(Reading)}")
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction is {reduction!r}, expected one of {get_args(Reduction)}")
    if torch.isnan(probabilities).any():
        raise ValueError("the detector's foreground probabilities are not numbers (NaN)")
    clamped = probabilities.clamp(LEAST_PROBABILITY, 1.0)
    mean = clamped.mean(dim=0)  # (T, H, W)
    pixels = -clamped.log().mean(dim=0) if reading == "mean_of_log" else -mean.log()
    foreground = mean > foreground_threshold
    area = foreground.sum(dim=(1, 2))
    scores = torch.where(foreground, pixels, 0.0).sum(dim=(1, 2), dtype=torch.float64)
    if reduction == "mean":
        scores = scores / area.clamp(min=1)
    empty = area == 0
    return FrameUncertainty(scores=scores.masked_fill(empty, empty_frame_score), empty=empty)
