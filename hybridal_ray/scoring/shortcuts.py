"""Scoring for less, at the price of other scores: fewer clips, fewer passes. All off unless asked for.

What they save and what it costs in the ranking of frames is measured by ``benchmarks/scoring.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import spearmanr
from torch import Tensor

from hybridal_ray.detectors.monte_carlo import MonteCarloPasses, Seeds

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Shortcuts:
    """What may be left out; the defaults leave out nothing.

    Attributes:
        clip_step: Of the clips that cover a video, every how many-th is scored. Frames that are in none of those get
            scores interpolated between the nearest frames that are. At the detector's clip stride, 2, half of the
            frames are seen, evenly.
        stable_ranking: A clip gets no further passes once one more moves its frames' ranking so little that
            Spearman's correlation with the ranking before is at least this, in [-1, 1]. None takes all R.
        fewest_passes: After how many passes that is asked first, at least 1.

    Raises:
        ValueError: A value is out of its range.
    """

    clip_step: int = 1
    stable_ranking: float | None = None
    fewest_passes: int = 4

    def __post_init__(self) -> None:
        if self.clip_step < 1 or self.fewest_passes < 1:
            found = f"{self.clip_step} and {self.fewest_passes}"
            raise ValueError(f"clip_step and fewest_passes are {found}, expected at least 1")
        if self.stable_ranking is not None and not -1 <= self.stable_ranking <= 1:
            raise ValueError(f"stable_ranking is {self.stable_ranking}, expected a correlation in [-1, 1]")


def passes_until_stable(
    run: Callable[[Seeds], MonteCarloPasses],
    seeds: Seeds,
    frame_scores: Callable[[Tensor], Floats],
    *,
    correlation: float,
    fewest: int,
) -> MonteCarloPasses:
    """Takes the passes over one clip until one more hardly moves the ranking of its frames.

    Args:
        run: Runs the passes of some seeds (1, r).
        seeds: (1, R), taken in their order; the last ones may go unused.
        frame_scores: From probabilities (r, T, H, W) to scores (T,).
        correlation: See `Shortcuts.stable_ranking`.
        fewest: See `Shortcuts.fewest_passes`.

    Returns:
        Of the passes taken.
    """
    taken = min(fewest, seeds.shape[1])
    found = run(seeds[:, :taken])
    probabilities, latent_sum = found.mask_probabilities, found.latents * taken
    before = frame_scores(probabilities[0])
    while taken < seeds.shape[1]:
        one = run(seeds[:, taken : taken + 1])
        taken += 1
        probabilities = torch.cat([probabilities, one.mask_probabilities], dim=1)
        latent_sum = latent_sum + one.latents
        now = frame_scores(probabilities[0])
        if rank_correlation(before, now) >= correlation:
            break
        before = now
    return MonteCarloPasses(probabilities, latent_sum / taken)


def interpolate_unseen(profile: npt.NDArray[Any], seen: npt.NDArray[np.bool_]) -> Floats:
    """Scores of all frames of a video, those of unseen frames drawn straight between the nearest that were seen.

    Args:
        profile: (F,); what it holds of unseen frames is not looked at.
        seen: (F,), at least one of them true.
    """
    frames = np.arange(len(profile))
    interpolated: Floats = np.interp(frames, frames[seen], profile[seen])
    return interpolated


def rank_correlation(first: Floats, second: Floats) -> float:
    """Spearman's; 1 where neither ranks anything, 0 where only one does."""
    constant = [bool(np.ptp(scores) == 0) for scores in (first, second)]
    if any(constant):
        return float(all(constant))
    return float(spearmanr(first, second).statistic)
