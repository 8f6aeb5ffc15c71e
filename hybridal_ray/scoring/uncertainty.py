"""How unsure the detector is of each frame, from R passes of Monte Carlo Dropout."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

Measure = Literal["neg_log", "entropy", "bald", "neighbour_disagreement"]
Reading = Literal["mean_of_log", "log_of_mean"]
Reduction = Literal["mean", "sum"]

LEAST_PROBABILITY = 1e-6  # keeps −log finite: no pixel can score more than 13.8
COMPARE_PASSES = ("bald", "neighbour_disagreement")  # measures that are 0 throughout where there is a single pass


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
    measure: Measure = "neg_log",
) -> FrameUncertainty:
    """Scores the frames of one clip over their predicted foreground.

    A frame scores the mean or the sum of a measure U(p) over its foreground, {p : (1/R) Σ_k M(p, k) > θ}, M(p, k)
    being the foreground probability of pixel p in pass k. The same pixels count for every measure, so that measures
    differ in nothing else; over all pixels, confident background would dominate ``neg_log``. The measures:

    - ``neg_log``: (1/R) Σ_k −log M(p, k) (Rana and Rawat, CVPR 2023, their equation for U with exactly R terms), or
      −log of (1/R) Σ_k M(p, k), M clamped to [1e-6, 1]. By Jensen's inequality the first is never smaller.
    - ``entropy``: H of the mean probability, H(m) = −m log m − (1 − m) log(1 − m); at most log 2.
    - ``bald``: the mutual information of a pixel and the weights, H of the mean minus the mean of H (Houlsby et al.,
      arXiv:1112.5745, 2011; by Monte Carlo Dropout Gal et al., ICML 2017). In [0, entropy].
    - ``neighbour_disagreement``: mean of abs(M(p, k + 1) − M(p, k)) over the R − 1 pairs of passes that follow one
      another; in [0, 1]. Two passes are enough, which is what makes it cheap.

    Args:
        probabilities: (R, T, H, W), in [0, 1].
        reading: ``mean_of_log`` or ``log_of_mean``, of the measure ``neg_log``.
        reduction: ``mean`` or ``sum`` over the foreground's pixels.
        foreground_threshold: θ, in [0, 1).
        empty_frame_score: What a frame without foreground gets.
        measure: U.

    Returns:
        Scores on the device of `probabilities`.

    Raises:
        ValueError: A probability is not a number (the detector diverged), or an option is unknown.
    """
    for name, value, known in (("reading", reading, Reading), ("reduction", reduction, Reduction)):
        if value not in get_args(known):
            raise ValueError(f"{name} is {value!r}, expected one of {get_args(known)}")
    if torch.isnan(probabilities).any():
        raise ValueError("the detector's foreground probabilities are not numbers (NaN)")
    clamped = probabilities.clamp(LEAST_PROBABILITY, 1.0)
    mean = clamped.mean(dim=0)  # (T, H, W)
    if measure == "neg_log":
        pixels = -clamped.log().mean(dim=0) if reading == "mean_of_log" else -mean.log()
    else:
        pixels = _disagreement(probabilities.double(), measure)
    foreground = mean > foreground_threshold
    area = foreground.sum(dim=(1, 2))
    scores = torch.where(foreground, pixels, 0.0).sum(dim=(1, 2), dtype=torch.float64)
    if reduction == "mean":
        scores = scores / area.clamp(min=1)
    empty = area == 0
    return FrameUncertainty(scores=scores.masked_fill(empty, empty_frame_score), empty=empty)


def _disagreement(probabilities: Tensor, measure: str) -> Tensor:
    """The measures other than ``neg_log`` of every pixel: (R, T, H, W), float64, to (T, H, W)."""
    if measure == "entropy":
        return _entropy(probabilities.mean(dim=0))
    if measure == "bald":
        # Not below 0 but by rounding, for H is concave.
        return (_entropy(probabilities.mean(dim=0)) - _entropy(probabilities).mean(dim=0)).clamp(min=0)
    if measure == "neighbour_disagreement":
        return probabilities.diff(dim=0).abs().sum(dim=0) / max(len(probabilities) - 1, 1)
    raise ValueError(f"measure is {measure!r}, expected one of {get_args(Measure)}")


def _entropy(probabilities: Tensor) -> Tensor:
    """Of Bernoulli variables, in nats; 0 log 0 is 0."""
    return torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
