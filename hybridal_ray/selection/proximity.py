"""Frames alone: the best frames of the whole pool, whichever videos they lie in."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.selection.latents import ROWS_AT_ONCE
from hybridal_ray.selection.request import Selection, SelectionRequest, frame_budget

READ = ["video_id", "video_score", "frames", "frame_scores", "frame_penalties"]
ORDER = [("adjusted", "descending"), ("video_id", "ascending"), ("frame", "ascending")]


class ProximityAware:
    """Ranks frames over the whole pool by uncertainty minus proximity penalty; there is no level of videos.

    Rana and Rawat, *Are all Frames Equal? Active Sparse Labeling for Video Action Detection*, NeurIPS 2022. Of each
    video those frames are ranked that scoring took, A of them; since each was the best of its video when it was taken,
    sorting them all is the greedy choice over the pool. The budget is one of frames, `frame_budget`. Cost: a scoring
    pass; the scores stream by once, the frames of the budget are held; O(V·A log(V·A)).
    """

    needs_scores = True
    needs_videos = False
    measure: str | None = None
    budget_in_frames = True

    def select(self, request: SelectionRequest) -> Selection:
        """Picks frames of new and of labelled videos alike; ties go to the lower video id and the earlier frame.

        Raises:
            UserError: A score is not a number, or the scores cannot be read.
            ValueError: The request holds no scores.
        """
        budget = frame_budget(request)
        best: list[pa.Table] = []
        for frames in _frames_by_batch(request):
            joined = pa.concat_tables([*best, frames])
            order = pc.sort_indices(joined.select([name for name, _ in ORDER]), ORDER)
            best = [joined.take(order[:budget])]
        rows: list[dict[str, Any]] = [row for table in best for row in table.drop(["adjusted"]).to_pylist()]
        ranked = [{**row, "rank": rank} for rank, row in enumerate(rows)]
        return Selection(pa.Table.from_pylist(ranked, schema=SELECTION_SCHEMA))


def _frames_by_batch(request: SelectionRequest) -> Iterator[pa.Table]:
    """The frames that scoring took and that can be bought, a row each, some videos at a time."""
    if request.scores is None:
        raise ValueError("strategy proximity needs scores")
    for batch in request.scores.batches(READ, ROWS_AT_ONCE):
        videos = batch.take(pc.list_parent_indices(batch["frames"]))
        frames, scores, penalties = (pc.list_flatten(batch[name]) for name in READ[2:])
        adjusted = pc.subtract(scores, penalties)
        if not np.isfinite(adjusted.to_numpy()).all():
            raise UserError("scores: frame_scores hold what is not a number; did the training diverge?")
        table = pa.table(
            {
                "video_id": videos["video_id"],
                "frame": frames,
                "uncertainty": scores,
                "proximity_penalty": penalties,
                "video_score": videos["video_score"],
                "adjusted": adjusted,
            }
        )
        places = zip(table["video_id"].to_pylist(), table["frame"].to_pylist(), strict=True)
        free = [frame not in request.taken_in(video_id) for video_id, frame in places]
        yield table.filter(pa.array(free, pa.bool_()))
