"""TypiClust-like: typical videos of clusters in which nothing is labelled; for when labels are few."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybridal_ray.selection.cluster_videos import refuse_not_counts
from hybridal_ray.selection.clustering import assign_to_centres, fit_centres
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.core_set import Latents, squared_distances
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import Places, PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot

Floats = npt.NDArray[np.float64]

# Videos, evenly spread over the pool or a cluster, that stand for all of a larger one, so that a million take minutes.
MOST_CLUSTERED = 20_000
MOST_COMPARED = 2_048


class TypicalVideos:
    """Takes the most typical video of each cluster, the largest cluster without a labelled video first.

    Hacohen, Dekel and Weinshall, *Active Learning on a Budget: Opposite Strategies Suit High and Low Budgets*, ICML
    2022. There are as many clusters as labelled videos and videos to buy together. Where fewer of them hold no label,
    those with the fewest labelled and taken videos come next. Videos to be revisited are taken from clusters in turns,
    labelled or not. Cost: latents, of a scoring pass with as little as one pass or of your own; all of them in memory,
    4·V·D bytes, refused beyond ``selection.memory_mib``, and k-means' copies of them; O(V·(n + l)·D) a step of k-means
    for n videos to buy and l labelled ones, and O(m²·D) in a cluster of m. Beyond `MOST_CLUSTERED` videos k-means sees
    so many of them, and a video is compared with no more than `MOST_COMPARED` of its cluster.

    Args:
        neighbours: Nearest neighbours, in the cluster, that typicality is measured by.
        most_clusters: No more clusters than this.
        restarts: Runs of k-means, of which the best counts.

    Raises:
        UserError: An option is below 1.
    """

    needs_scores = True
    columns: Sequence[str] = ("latent",)

    def __init__(self, neighbours: int = 20, most_clusters: int = 500, restarts: int = 1) -> None:
        refuse_not_counts({"neighbours": neighbours, "most_clusters": most_clusters, "restarts": restarts})
        self.neighbours = neighbours
        self.most_clusters = most_clusters
        self.restarts = restarts

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`."""
        (new, new_count), (revisited, revisited_count) = pool.kinds(request)
        if new_count + revisited_count == 0:
            return []
        latents = pool.latents()
        wanted = min(int(pool.labelled.sum()) + new_count, self.most_clusters)
        seen = latents[_spread(len(latents), MOST_CLUSTERED)]
        centres = fit_centres(seen, max(wanted, 1), request.seed, self.restarts)
        cluster_of = assign_to_centres(latents, centres)
        loneliness = _loneliness_in_clusters(latents, cluster_of, self.neighbours)
        labelled = np.bincount(cluster_of[pool.labelled], minlength=len(centres))
        return [
            Lot(take_typical(new, new_count, cluster_of, loneliness, labelled)),
            Lot(take_typical(revisited, revisited_count, cluster_of, loneliness, np.zeros_like(labelled))),
        ]


def typiclust(
    frames: str = "equidistant", neighbours: int = 20, most_clusters: int = 500, restarts: int = 1
) -> Combined:
    """Strategy ``typiclust``: typical videos of uncovered clusters, for the start of a run and for later rounds."""
    return Combined(TypicalVideos(neighbours, most_clusters, restarts), frame_rule(frames))


def loneliness_of(latents: Latents, neighbours: int, most_compared: int = MOST_COMPARED) -> Floats:
    """(N,), mean distance of each point to its nearest neighbours: the inverse of its typicality.

    Args:
        latents: (N, D).
        neighbours: Neighbours to average over; all others where there are fewer. A single point is infinitely lonely.
        most_compared: Points, evenly spread, among which the neighbours are looked for.
    """
    compared = _spread(len(latents), most_compared)
    others = latents[compared]
    loneliness = np.full(len(latents), np.inf)
    for index, latent in enumerate(latents):
        distances = np.delete(squared_distances(others, latent), np.flatnonzero(compared == index))
        count = min(neighbours, len(distances))
        if count:
            loneliness[index] = np.sqrt(np.partition(distances, count - 1)[:count]).mean()
    return loneliness


def take_typical(
    places: Places,
    count: int,
    cluster_of: npt.NDArray[np.int64],
    loneliness: Floats,
    covered: npt.NDArray[np.integer],
) -> list[int]:
    """Takes the least lonely video of the cluster that has the fewest so far, of those the largest, `count` times.

    Args:
        places: Videos to take from, at least `count`.
        count: Videos to take.
        cluster_of: (V,), cluster of each video of the pool.
        loneliness: (V,).
        covered: (K,), videos that each cluster has already.

    Returns:
        Videos in the order taken. Ties go to the lower cluster id and the lower place.
    """
    sizes = np.bincount(cluster_of, minlength=len(covered))
    best_last: dict[int, list[int]] = {}
    for place in places[np.lexsort((places, loneliness[places]))][::-1].tolist():
        best_last.setdefault(int(cluster_of[place]), []).append(place)
    have = covered.tolist()
    taken: list[int] = []
    while len(taken) < count:
        cluster = min(best_last, key=lambda cluster: (have[cluster], -sizes[cluster], cluster))
        taken.append(best_last[cluster].pop())
        have[cluster] += 1
        if not best_last[cluster]:
            del best_last[cluster]
    return taken


def _loneliness_in_clusters(latents: Latents, cluster_of: npt.NDArray[np.int64], neighbours: int) -> Floats:
    loneliness = np.empty(len(latents))
    for cluster in np.unique(cluster_of):
        members = cluster_of == cluster
        loneliness[members] = loneliness_of(latents[members], neighbours)
    return loneliness


def _spread(count: int, most: int) -> npt.NDArray[np.int64]:
    """At most so many places of 0 … count − 1, evenly spread."""
    return np.arange(min(count, most)) * count // max(min(count, most), 1)
