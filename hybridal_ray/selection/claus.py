"""CLAUS: cluster-aware uncertainty sampling of videos, with the frames that scoring chose in each, or others."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.selection.best_videos import BestVideos
from hybridal_ray.selection.budgets import proportional_shares, split_new_and_revisited
from hybridal_ray.selection.centres import centres_of
from hybridal_ray.selection.cluster_file import ClusterRows, cluster_rows
from hybridal_ray.selection.cluster_videos import refuse_not_counts
from hybridal_ray.selection.clustering import assign_to_centres
from hybridal_ray.selection.combined import FrameView
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.latents import ROWS_AT_ONCE, latent_matrix, with_latent
from hybridal_ray.selection.pool_rows import answered_flags, labelled_flags, refuse_not_numbers
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest
from hybridal_ray.selection.score_batches import ScoreBatches

NEW, REVISITED = False, True


class Claus:
    """Each cluster of the pool gets videos in proportion to its size, the most uncertain first (method §4).

    Clusters are those of the detector's own centres, unless their number is asked for; then k-means finds them in the
    latents of the pool. Every video with a latent counts towards the size of its cluster, labelled or not.

    Rana and Rawat, *Hybrid Active Learning via Deep Clustering for Video Action Detection*, CVPR 2023. Cost: a scoring
    pass; O(V·K·D). The scores stream by once, and twice more where centres have to be found and the latents do not fit
    in the memory of the request. Beyond a batch, what is held grows with the budget, not with the pool; other frames
    than those of scoring need the length of every video.

    Args:
        clusters: K of k-means over the pool; None takes the centres of the detector, or as many clusters
            as the configuration names where it has none.
        restarts: Runs of k-means, of which the best counts.
        frames: Which frames of each video, by the name of a rule or a dotted path: ``scored`` are the paper's.

    Raises:
        UserError: An option is below 1, or `frames` is unknown or buys whole videos.
    """

    needs_scores = True

    def __init__(self, clusters: int | None = None, restarts: int = 10, frames: str = "scored") -> None:
        refuse_not_counts({"clusters": 1 if clusters is None else clusters, "restarts": restarts})
        self.clusters = clusters
        self.restarts = restarts
        self.frames = frame_rule(frames)
        if self.frames.whole_videos:
            raise UserError(
                f"selection.options.frames: claus buys a few frames of each video, found {frames!r}, which buys all; "
                "expected another rule, or strategy 'combined' with videos: clusters"
            )
        self.needs_videos = self.frames.needs_videos

    def select(self, request: SelectionRequest) -> Selection:
        """Picks videos by cluster and V_score, and in each the frames of the rule, in its order.

        The order of purchase interleaves clusters, and new with revisited videos, so that a budget of frames
        that ends early (`max_frames`) has still been shared out in proportion.

        Raises:
            UserError: A score or latent is not a number, no video has a latent, or the scores cannot be read.
            ValueError: The request holds no scores, or a video was to be bought twice.
        """
        if request.scores is None:
            raise ValueError("strategy claus needs scores")
        memory_bytes = request.memory_mib * 2**20
        view = FrameView(self.frames, request)
        centres = centres_of(request, self.clusters, self.restarts)
        with cluster_rows(request.clusters_to, memory_bytes) as told:
            strata = [] if centres is None else _sort_into_strata(request.scores, centres, request, view, told)
            if not any(stratum.size for stratum in strata):
                raise UserError("strategy claus: none of the videos could be scored, so there is nothing to cluster")
        picked = _pick(strata, request, view)
        if len({video.video_id for videos in picked for video in videos}) < sum(map(len, picked)):
            raise ValueError("scores hold a video twice")
        return Selection(purchase(interleave(picked), request.max_frames))


class Stratum:
    """A cluster of the pool as it streams by: how large it is, and its best videos of either kind.

    Args:
        cluster: Its id.
        most: Videos that can be bought of either kind at most.

    Attributes:
        cluster: Its id.
        size: Videos seen, labelled or not.
        best: The best videos that could be bought, new ones and revisited ones.
    """

    def __init__(self, cluster: int, most: int) -> None:
        self.cluster = cluster
        self.size = 0
        self.best = {NEW: BestVideos(most), REVISITED: BestVideos(most)}


def _sort_into_strata(
    scores: ScoreBatches,
    centres: npt.NDArray[np.floating],
    request: SelectionRequest,
    view: FrameView,
    told: ClusterRows,
) -> list[Stratum]:
    """Goes once over the scores; every video counts in the stratum of its nearest centre."""
    strata = [Stratum(cluster, request.num_videos) for cluster in range(len(centres))]
    to_buy = ["video_id", "video_score", *view.columns]
    for batch in scores.batches([*to_buy, "latent"], ROWS_AT_ONCE):
        scored = with_latent(batch)
        if len(scored) == 0:
            continue
        nearest = assign_to_centres(latent_matrix(scored), centres)
        told.add(scored["video_id"], nearest)
        rows = scored.select(to_buy)
        revisited = labelled_flags(rows["video_id"], request.labelled)
        for_sale = _for_sale(rows, request, view)
        for stratum in strata:
            here = nearest == stratum.cluster
            stratum.size += int(here.sum())
            for kind, best in stratum.best.items():
                best.offer(rows.filter(pa.array(here & for_sale & (revisited == kind))))
    return strata


def _for_sale(rows: pa.Table, request: SelectionRequest, view: FrameView) -> npt.NDArray[np.bool_]:
    """Which videos (V,) have a score and a frame to buy; one without an answer has, unless scoring took none."""
    refuse_not_numbers(rows)
    for_sale = pc.is_valid(rows["video_score"]).to_numpy()
    if "frames" in rows.column_names:
        for_sale = for_sale & (pc.fill_null(pc.list_value_length(rows["frames"]), 0).to_numpy() > 0)
    for index in np.flatnonzero(for_sale & answered_flags(rows["video_id"], request)):
        row = rows.slice(index, 1).to_pylist()[0]
        for_sale[index] = view.any_in(row["video_id"], row)
    return for_sale


def _pick(strata: Sequence[Stratum], request: SelectionRequest, view: FrameView) -> list[list[PickedVideo]]:
    """The best videos of each cluster, as many as its share, cluster by cluster, new before revisited.

    That is the order in which `interleave` settles ties.
    """
    filled = [stratum for stratum in strata if stratum.size]
    on_offer = {kind: [stratum.best[kind].offered for stratum in filled] for kind in (NEW, REVISITED)}
    budgets = split_new_and_revisited(
        request.num_videos,
        request.revisit_fraction,
        new_available=sum(on_offer[NEW]),
        revisits_available=sum(on_offer[REVISITED]),
    )
    sizes = [stratum.size for stratum in filled]
    shares = [
        proportional_shares(budget, sizes, on_offer[kind])
        for kind, budget in zip((NEW, REVISITED), budgets, strict=True)
    ]
    return [
        [
            view.picked(row["video_id"], row, request.frames_per_video, stratum.cluster)
            for row in stratum.best[kind].best(share)
        ]
        for stratum, *of_cluster in zip(filled, *shares, strict=True)
        for kind, share in zip((NEW, REVISITED), of_cluster, strict=True)
    ]
