"""CLAUS with the whole pool in lists: the oracle of the strategy that lets it stream by."""

from collections import Counter

import numpy as np
import pyarrow as pa

from hybridal_ray.selection.budgets import proportional_shares, split_new_and_revisited
from hybridal_ray.selection.clustering import assign_to_centres, fit_centres
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase
from hybridal_ray.selection.request import SelectionRequest


def select_in_memory(request: SelectionRequest, clusters: int | None, restarts: int) -> tuple[pa.Table, dict[str, int]]:
    """The picks, and the cluster of every video."""
    rows = sorted(request.scores.table.to_pylist(), key=lambda row: row["video_id"])
    rows = [row for row in rows if row["latent"] is not None]
    latents = np.array([row["latent"] for row in rows], np.float32)
    centres = request.centres
    if centres is None or clusters is not None:
        centres = fit_centres(latents, 5 if clusters is None else clusters, request.seed, restarts)
    ids = assign_to_centres(latents, centres).tolist()
    sizes = Counter(ids)
    offered = {(cluster, kind): [] for cluster in sorted(sizes) for kind in (False, True)}
    for row, cluster in zip(rows, ids, strict=True):
        video = _with_free_frames(row, cluster, request)
        if row["video_score"] is not None and video.frames:
            offered[cluster, bool(request.labelled.get(row["video_id"]))].append(video)
    budgets = split_new_and_revisited(
        request.num_videos,
        request.revisit_fraction,
        new_available=sum(len(videos) for (_, kind), videos in offered.items() if not kind),
        revisits_available=sum(len(videos) for (_, kind), videos in offered.items() if kind),
    )
    strata = {}
    for kind in (False, True):
        members = [offered[cluster, kind] for cluster in sorted(sizes)]
        shares = proportional_shares(budgets[kind], [sizes[cluster] for cluster in sorted(sizes)], [*map(len, members)])
        for cluster, videos, share in zip(sorted(sizes), members, shares, strict=True):
            videos.sort(key=lambda video: (-video.video_score, video.video_id))
            strata[cluster, kind] = videos[:share]
    picks = purchase(interleave([strata[key] for key in offered]), request.max_frames)
    return picks, dict(zip((row["video_id"] for row in rows), ids, strict=True))


def _with_free_frames(row: dict, cluster: int, request: SelectionRequest) -> PickedVideo:
    answered = request.taken_in(row["video_id"])
    free = [index for index, frame in enumerate(row["frames"] or ()) if frame not in answered]
    free = free[: request.frames_per_video]
    columns = ("frames", "frame_scores", "frame_penalties")
    frames, uncertainties, penalties = ([row[column][index] for index in free] for column in columns)
    return PickedVideo(row["video_id"], frames, uncertainties, penalties, row["video_score"], cluster)
