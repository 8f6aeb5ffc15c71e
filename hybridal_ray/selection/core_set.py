"""Core-set: videos that leave none of the pool far from a labelled one."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot

ROWS_IN_CACHE = 256
Latents = npt.NDArray[np.floating]


class CoreSetVideos:
    """Takes the video farthest from all labelled and taken ones, again and again: k-centre greedy on latents.

    Sener and Savarese, *Active Learning for Convolutional Neural Networks: A Core-Set Approach*, ICLR 2018. Videos to
    be revisited, which are centres themselves, are spread among each other. Cost: a scoring pass, of whose R passes one
    is enough; all latents in memory, 4·V·D bytes, refused beyond ``selection.memory_mib``; O(V·(n + l)·D) for n videos
    to buy and l labelled ones.
    """

    needs_scores = True
    columns: Sequence[str] = ("latent",)

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`."""
        (new, new_count), (revisited, revisited_count) = pool.kinds(request)
        latents = pool.latents()
        return [
            Lot(new[k_centre_greedy(latents[new], latents[pool.labelled], new_count)].tolist()),
            Lot(revisited[k_centre_greedy(latents[revisited], latents[:0], revisited_count)].tolist()),
        ]


def core_set(frames: str = "scored") -> Combined:
    """Strategy ``core_set``: k-centre greedy on latents."""
    return Combined(CoreSetVideos(), frame_rule(frames))


def k_centre_greedy(latents: Latents, centres: Latents, count: int) -> npt.NDArray[np.int64]:
    """The point farthest from its nearest centre, which becomes a centre, `count` times.

    Args:
        latents: (N, D), points to take from.
        centres: (L, D), centres to begin with; where there is none, the point nearest to the mean is taken first.
        count: Points to take, at most N.

    Returns:
        (count,), indices in the order taken; ties go to the lower one.
    """
    taken: list[int] = []
    if count and len(centres) == 0:
        taken.append(int(squared_distances(latents, latents.mean(axis=0, dtype=np.float64)).argmin()))
        centres = latents[taken]
    nearest = np.full(len(latents), np.inf)
    for centre in centres:
        np.minimum(nearest, squared_distances(latents, centre), out=nearest)
    nearest[taken] = -np.inf  # a duplicate of a centre is at distance 0, and can still be taken
    while len(taken) < count:
        taken.append(int(nearest.argmax()))
        np.minimum(nearest, squared_distances(latents, latents[taken[-1]]), out=nearest)
        nearest[taken[-1]] = -np.inf
    return np.array(taken, dtype=np.int64)


def squared_distances(points: Latents, centre: Latents) -> npt.NDArray[np.float64]:
    """(N,), squared Euclidean distances of points (N, D) from one (D,), in float64 but some points at a time."""
    distances = np.empty(len(points))
    exact = centre.astype(np.float64)
    for start in range(0, len(points), ROWS_IN_CACHE):
        difference = points[start : start + ROWS_IN_CACHE] - exact
        distances[start : start + ROWS_IN_CACHE] = np.einsum("nd,nd->n", difference, difference)
    return distances
