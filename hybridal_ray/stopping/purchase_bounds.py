"""Cutting a purchase so that a budget in videos or in seconds of labour is not overshot."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def within_videos(picks: pa.Table, labelled: Collection[str], max_videos: int) -> pa.Table:
    """Leaves out the videos that would make more labelled ones than the budget has; frames of others stay.

    Args:
        picks: Table of `SELECTION_SCHEMA`, in the order of purchase.
        labelled: Ids of the videos that have labels already. Another purchase in one of them opens no new video.
        max_videos: Labelled videos in the whole run.

    Returns:
        The picks that remain, ranked anew.
    """
    ids = picks["video_id"].to_pylist()
    new = list(dict.fromkeys(video_id for video_id in ids if video_id not in labelled))
    dropped = set(new[max(max_videos - len(labelled), 0) :])
    return _ranked(picks.filter(pa.array([video_id not in dropped for video_id in ids], pa.bool_())))


def within_seconds(picks: pa.Table, seconds: npt.NDArray[np.float64], seconds_left: float) -> pa.Table:
    """Keeps the longest beginning of a purchase that is expected to cost no more than is left.

    Args:
        picks: Table of `SELECTION_SCHEMA`, N rows in the order of purchase.
        seconds: (N,), expected labour of each frame, 0 or more.
        seconds_left: Of the budget.

    Returns:
        The first picks, whose expected seconds add up to `seconds_left` at most.
    """
    return picks[: int(np.searchsorted(np.cumsum(seconds), seconds_left, side="right"))]


def opens_video(video_ids: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(N,), whether a frame is the first of its video in a purchase, from the video of each frame in its order."""
    first: Mapping[str, int] = {video_id: row for row, video_id in reversed(list(enumerate(video_ids)))}
    opens = np.zeros(len(video_ids), dtype=bool)
    opens[list(first.values())] = True
    return opens


def _ranked(picks: pa.Table) -> pa.Table:
    ranks = pa.array(np.arange(len(picks)), picks.schema.field("rank").type)
    return picks.set_column(picks.schema.get_field_index("rank"), picks.schema.field("rank"), ranks)
