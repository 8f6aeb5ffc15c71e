"""Videos of every cluster in proportion to its size: CLAUS for any choice of frames, and clusters alone."""

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.selection.budgets import proportional_shares
from hybridal_ray.selection.centres import centres_of
from hybridal_ray.selection.cluster_file import cluster_rows
from hybridal_ray.selection.clustering import assign_to_centres
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.latents import latents_of
from hybridal_ray.selection.pool_rows import Places, PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot
from hybridal_ray.selection.score_order import by_score

Inside = Literal["uncertainty", "random"]
NOWHERE = -1


class ClusterVideos:
    """Gives each cluster of the pool videos in proportion to its size, the most uncertain or random ones (method §4).

    Rana and Rawat, CVPR 2023. With the frames of scoring and ``inside: uncertainty`` it selects what `Claus` does; that
    one holds no more than the budget. Cost: a scoring pass; a few numbers a video in memory; O(V·K·D), and k-means
    where the checkpoint holds no centres.

    Args:
        clusters: K of k-means over the pool; None takes the centres of the detector, or as many clusters
            as the configuration names where it has none.
        restarts: Runs of k-means, of which the best counts.
        inside: Who is taken in a cluster: ``uncertainty`` or ``random``.
        balance_classes: Takes turns between predicted classes inside a cluster, see `balanced_order`; needs
            ``inside: uncertainty``.

    Raises:
        UserError: An option makes no sense.
    """

    needs_scores = True

    def __init__(
        self,
        clusters: int | None = None,
        restarts: int = 10,
        inside: Inside = "uncertainty",
        balance_classes: bool = False,
    ) -> None:
        refuse_not_counts({"clusters": 1 if clusters is None else clusters, "restarts": restarts})
        self.clusters = clusters
        self.restarts = restarts
        if balance_classes and inside == "random":
            raise UserError(
                "selection.options.inside: found 'random' beside balance_classes=true, expected uncertainty"
            )
        self.inside = inside
        self.balance_classes = balance_classes
        self.columns: Sequence[str] = () if inside == "random" else ("video_score",)
        if balance_classes:
            self.columns = ("video_score", "class_scores")

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`.

        Raises:
            UserError: No video has a latent.
        """
        cluster_of = clusters_of(pool, request, self.clusters, self.restarts)
        if not (cluster_of != NOWHERE).any():
            raise UserError("selection: none of the videos could be scored, so there is nothing to cluster")
        sizes = np.bincount(cluster_of[cluster_of != NOWHERE]).tolist()
        rng = np.random.default_rng(request.seed)
        lots = []
        for places, count in pool.kinds(request, cluster_of != NOWHERE):
            members = [places[cluster_of[places] == cluster] for cluster in range(len(sizes))]
            shares = proportional_shares(count, sizes, [len(of_cluster) for of_cluster in members])
            for cluster, (of_cluster, share) in enumerate(zip(members, shares, strict=True)):
                lots.append(Lot(self._order(pool, of_cluster, rng)[:share], cluster))
        return lots

    def _order(self, pool: PoolRows, members: Places, rng: np.random.Generator) -> list[int]:
        if self.inside == "random":
            return [int(place) for place in rng.permutation(members)]
        return by_score(pool, members, self.balance_classes)


def clusters(clusters: int | None = None, restarts: int = 10, frames: str = "scored") -> Combined:
    """Strategy ``clusters``: clusters alone, random videos inside.

    CLAUS without its uncertainty of videos (Rana and Rawat, CVPR 2023, ablation). Cost: as `ClusterVideos`.
    """
    return Combined(ClusterVideos(clusters, restarts, inside="random"), frame_rule(frames))


def clusters_of(
    pool: PoolRows, request: SelectionRequest, clusters: int | None, restarts: int
) -> npt.NDArray[np.int64]:
    """(V,), the cluster of each video of the pool, −1 without a latent; latents stream by, none is held.

    Tells the clusters where the request wants them told.
    """
    memory_bytes = request.memory_mib * 2**20
    assert request.scores is not None
    latents = partial(latents_of, request.scores)
    centres = centres_of(request, clusters, restarts)
    found = np.full(len(pool.table), NOWHERE)
    if centres is None:
        return found
    ids: Any = pool.table["video_id"].combine_chunks()
    with cluster_rows(request.clusters_to, memory_bytes) as told:
        for video_ids, of_batch in latents():
            nearest = assign_to_centres(of_batch, centres)
            told.add(video_ids, nearest)
            found[pc.index_in(video_ids, value_set=ids).to_numpy()] = nearest
    return found


def refuse_not_counts(options: dict[str, int]) -> None:
    """Raises a UserError that names the first option below 1."""
    for name, value in options.items():
        if value < 1:
            raise UserError(f"selection.options.{name}: found {value!r}, expected 1 or more")
