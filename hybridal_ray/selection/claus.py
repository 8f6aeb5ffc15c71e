"""CLAUS: cluster-aware uncertainty sampling of videos, with the frames that scoring chose in each."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA
from hybridal_ray.selection.budgets import proportional_shares, split_new_and_revisited
from hybridal_ray.selection.clustering import assign_to_centres, fit_centres
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest


class Claus:
    """Each cluster of the pool gets videos in proportion to its size, the most uncertain first (method §4).

    Clusters are those of the detector's own centres; k-means finds some where it has none. Every video with a
    latent counts towards the size of its cluster, labelled or not.

    Args:
        clusters: K, for k-means; the centres of a checkpoint are used as they are.
        restarts: Runs of k-means, of which the best counts.

    Raises:
        UserError: An option is no whole number of at least 1.
    """

    needs_scores = True

    def __init__(self, clusters: int = 5, restarts: int = 10) -> None:
        for name, value in (("clusters", clusters), ("restarts", restarts)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise UserError(f"selection.options.{name}: found {value!r}, expected a whole number, 1 or more")
        self.clusters = clusters
        self.restarts = restarts

    def select(self, request: SelectionRequest) -> Selection:
        """Picks videos by cluster and V_score, and in each the frames that scoring took, in that order.

        The order of purchase interleaves clusters, and new with revisited videos, so that a budget of frames
        that ends early (`max_frames`) has still been shared out in proportion.

        Raises:
            UserError: A score or latent is not a number, or no video has a latent.
            ValueError: The request holds no scores, or scores a video twice.
        """
        scores = _scores_of_pool(request)
        clusters = self._cluster_videos(scores, request)
        candidates = _candidates(scores, clusters, request)
        new = [video for video in candidates if not request.labelled.get(video.video_id)]
        revisits = [video for video in candidates if request.labelled.get(video.video_id)]
        new_budget, revisit_budget = split_new_and_revisited(
            request.num_videos,
            request.revisit_fraction,
            new_available=len(new),
            revisits_available=len(revisits),
        )
        # Cluster by cluster, new before revisited: the order in which `interleave` settles ties.
        strata = [
            stratum
            for of_cluster in zip(
                _pick_by_cluster(new, new_budget, clusters),
                _pick_by_cluster(revisits, revisit_budget, clusters),
                strict=True,
            )
            for stratum in of_cluster
        ]
        table = pa.Table.from_pydict(
            {"video_id": list(clusters), "cluster": list(clusters.values())}, schema=CLUSTERS_SCHEMA
        )
        return Selection(purchase(interleave(strata), request.max_frames), table)

    def _cluster_videos(self, scores: pa.Table, request: SelectionRequest) -> dict[str, int]:
        """The cluster of each video that has a latent, in the order of `scores`."""
        with_latent = scores.filter(pc.is_valid(scores["latent"]))
        if len(with_latent) == 0:
            raise UserError("strategy claus: none of the videos could be scored, so there is nothing to cluster")
        latents = _as_matrix(with_latent)
        centres = request.centres
        if centres is None:
            centres = fit_centres(latents, self.clusters, request.seed, self.restarts)
        ids = assign_to_centres(latents, centres)
        return dict(zip(with_latent["video_id"].to_pylist(), ids.tolist(), strict=True))


def _scores_of_pool(request: SelectionRequest) -> pa.Table:
    """The scores of the request's videos by video id, so that the order of the rows they came in is forgotten."""
    if request.scores is None:
        raise ValueError("strategy claus needs scores")
    video_ids = pa.array([video.video_id for video in request.videos], pa.string())
    scores = request.scores.filter(pc.is_in(request.scores["video_id"], video_ids)).sort_by("video_id")
    if pc.count_distinct(scores["video_id"]).as_py() != len(scores):
        raise ValueError("scores hold a video twice")
    return scores


def _as_matrix(with_latent: pa.Table) -> npt.NDArray[np.float32]:
    """The latents as (V, D), without a Python object a number."""
    latents = pc.list_flatten(with_latent["latent"]).to_numpy().reshape(len(with_latent), -1)
    broken = ~np.isfinite(latents).all(axis=1)
    if broken.any():
        video_id = with_latent["video_id"][int(broken.argmax())].as_py()
        raise UserError(f"scores: the latent of video {video_id!r} is not finite; did the training diverge?")
    return latents


def _candidates(scores: pa.Table, clusters: Mapping[str, int], request: SelectionRequest) -> list[PickedVideo]:
    """The videos that could be bought from, with the frames to buy in each, by descending V_score, then id."""
    columns = ["video_id", "video_score", "frames", "frame_scores", "frame_penalties"]
    rows = [
        row
        for row in scores.select(columns).to_pylist()
        if row["video_score"] is not None and row["video_id"] in clusters
    ]
    for row in rows:
        if math.isnan(row["video_score"]):
            raise UserError(f"scores: video_score of {row['video_id']!r} is not a number; did the training diverge?")
    rows.sort(key=lambda row: (-row["video_score"], row["video_id"]))
    videos = (_with_free_frames(row, clusters[row["video_id"]], request) for row in rows)
    return [video for video in videos if video.frames]


def _with_free_frames(row: Mapping[str, Any], cluster: int, request: SelectionRequest) -> PickedVideo:
    """A row of scores as a video to buy, with those of its frames that are not labelled."""
    labelled = set(request.labelled.get(row["video_id"], ()))
    free = [index for index, frame in enumerate(row["frames"]) if frame not in labelled]
    bought = free[: request.frames_per_video]
    return PickedVideo(
        row["video_id"],
        frames=[row["frames"][index] for index in bought],
        uncertainties=[row["frame_scores"][index] for index in bought],
        penalties=[row["frame_penalties"][index] for index in bought],
        video_score=row["video_score"],
        cluster=cluster,
    )


def _pick_by_cluster(
    candidates: Sequence[PickedVideo], budget: int, clusters: Mapping[str, int]
) -> list[list[PickedVideo]]:
    """The best candidates of each cluster, as many as its share, in ascending order of cluster id."""
    sizes = sorted(Counter(clusters.values()).items())
    members = [[video for video in candidates if video.cluster == cluster] for cluster, _ in sizes]
    shares = proportional_shares(budget, [size for _, size in sizes], [len(videos) for videos in members])
    return [videos[:share] for videos, share in zip(members, shares, strict=True)]
