"""BADGE-like: uncertain videos that differ, by k-means++ on latents scaled by uncertainty."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.core_set import Latents, squared_distances
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import Places, PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot


class BadgeVideos:
    """Draws videos like the first centres of k-means++ on latents scaled by uncertainty.

    Ash et al., *Deep Batch Active Learning by Diverse, Uncertain Gradient Lower Bounds*, ICLR 2020. Their gradient
    embedding of the last layer is the features times (probability − one-hot); a detector of pixels has no such layer
    for a video, so its latent is scaled by the mean uncertainty of the frames taken, without the proximity penalties,
    and not below 0. Cost: a scoring pass; all latents in memory, 4·V·D bytes, refused beyond
    ``selection.memory_mib``, and as much again for the scaled ones; O(V·n·D) for n videos to buy.
    """

    needs_scores = True
    columns: Sequence[str] = ("latent", "frame_scores")

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`.

        Raises:
            UserError: An uncertainty is not finite.
        """
        rng = np.random.default_rng(request.seed)
        latents, weights = pool.latents(), mean_uncertainties(pool)
        return [Lot(_draw(latents, weights, places, count, rng)) for places, count in pool.kinds(request)]


def badge(frames: str = "scored") -> Combined:
    """Strategy ``badge``: k-means++ on latents scaled by uncertainty."""
    return Combined(BadgeVideos(), frame_rule(frames))


def k_means_plus_plus(points: Latents, count: int, rng: np.random.Generator) -> list[int]:
    """Draws points far from each other: each with a chance in proportion to its squared distance from those drawn.

    The first is the one of the largest norm, as in the program of the paper's authors; ties to the lower index.

    Args:
        points: (N, D).
        count: Points to draw, at most N.
        rng: Of the draws.

    Returns:
        Indices in the order drawn. Where all that is left lies on points that were drawn, each has the same chance.
    """
    if count == 0:
        return []
    drawn = [int(squared_distances(points, np.zeros(points.shape[1])).argmax())]
    free = np.ones(len(points), dtype=bool)
    nearest = squared_distances(points, points[drawn[0]])
    while len(drawn) < count:
        free[drawn[-1]] = False
        chances = np.where(free, nearest, 0.0)
        total = chances.sum()
        chances = chances / total if total > 0 else free / free.sum()
        drawn.append(int(rng.choice(len(points), p=chances)))
        np.minimum(nearest, squared_distances(points, points[drawn[-1]]), out=nearest)
    return drawn


def mean_uncertainties(pool: PoolRows) -> npt.NDArray[np.float64]:
    """(V,), mean uncertainty of the frames that scoring took in each video, 0 at least, and where it took none.

    Raises:
        UserError: One is not finite.
    """
    lists = pool.table["frame_scores"]
    flat = pc.list_flatten(lists).to_numpy()
    if not np.isfinite(flat).all():
        raise UserError("scores: frame_scores hold what is not a number; did the training diverge?")
    parents = pc.list_parent_indices(lists).to_numpy()
    counts = np.bincount(parents, minlength=len(lists))
    return np.maximum(np.bincount(parents, flat, minlength=len(lists)) / np.maximum(counts, 1), 0.0)


def _draw(
    latents: Latents, weights: npt.NDArray[np.float64], places: Places, count: int, rng: np.random.Generator
) -> list[int]:
    scaled = latents[places] * weights[places, None].astype(np.float32)
    return [int(places[index]) for index in k_means_plus_plus(scaled, count, rng)]
