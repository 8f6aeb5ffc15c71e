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
        stable_ranking: A clip gets no further passes once the ranking of its frames is this reliable, in [-1, 1];
            see `ranking_reliability`. None takes all R.
        passes_at_once: After how many passes that is asked, again and again, at least 2.

    Raises:
        ValueError: A value is out of its range.
    """

    clip_step: int = 1
    stable_ranking: float | None = None
    passes_at_once: int = 4

    def __post_init__(self) -> None:
        if self.clip_step < 1 or self.passes_at_once < 2:
            found = f"{self.clip_step} and {self.passes_at_once}"
            raise ValueError(f"clip_step and passes_at_once are {found}, expected at least 1 and 2")
        if self.stable_ranking is not None and not -1 <= self.stable_ranking <= 1:
            raise ValueError(f"stable_ranking is {self.stable_ranking}, expected a correlation in [-1, 1]")


def passes_until_stable(
    run: Callable[[Seeds], MonteCarloPasses],
    seeds: Seeds,
    frame_scores: Callable[[Tensor], Floats],
    *,
    reliability: float,
    at_once: int,
) -> MonteCarloPasses:
    """Takes passes over one clip until they rank its frames reliably.

    Args:
        run: Runs the passes of some seeds (1, r).
        seeds: (1, R), taken in their order; the last ones may go unused.
        frame_scores: From probabilities (r, T, H, W) to scores (T,).
        reliability: See `Shortcuts.stable_ranking`.
        at_once: See `Shortcuts.passes_at_once`.

    Returns:
        Of the passes taken.
    """
    lots: list[MonteCarloPasses] = []
    for first in range(0, seeds.shape[1], at_once):
        lots.append(run(seeds[:, first : first + at_once]))
        probabilities = torch.cat([lot.mask_probabilities for lot in lots], dim=1)
        if ranking_reliability(probabilities[0], frame_scores) >= reliability:
            break
    shares = [lot.mask_probabilities.shape[1] / probabilities.shape[1] for lot in lots]
    latents = torch.stack([share * lot.latents for share, lot in zip(shares, lots, strict=True)]).sum(dim=0)
    classes = torch.stack([share * lot.class_probabilities for share, lot in zip(shares, lots, strict=True)])
    return MonteCarloPasses(probabilities, latents, classes.sum(dim=0))


def ranking_reliability(probabilities: Tensor, frame_scores: Callable[[Tensor], Floats]) -> float:
    """How well other passes, as many again, would rank the frames alike, foretold from the passes there are.

    Spearman's correlation ρ between the scores of the even and of the odd passes, which are half as many each, led
    to the whole number by the formula of Spearman and Brown (1910), 2ρ / (1 + ρ); 0 where ρ is not positive.

    Args:
        probabilities: (r, T, H, W).
        frame_scores: From some of them to scores (T,).
    """
    if len(probabilities) < 2:
        return 0.0
    halves = rank_correlation(frame_scores(probabilities[::2]), frame_scores(probabilities[1::2]))
    return 2 * halves / (1 + halves) if halves > 0 else 0.0


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
