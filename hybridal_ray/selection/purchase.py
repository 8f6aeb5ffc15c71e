"""From videos that were picked to the table of frames to buy, in the order of purchase."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa

from hybridal_ray.pool.round_tables import SELECTION_SCHEMA

T = TypeVar("T")


@dataclass(frozen=True)
class PickedVideo:
    """A video that was picked, and why.

    Attributes:
        video_id: Which.
        frames: Frames to buy in it, the most wanted first.
        uncertainties: Uncertainty of each frame, empty where the strategy knows none.
        penalties: Proximity penalty of each frame when it was chosen, empty where there is none.
        video_score: V_score, where there is one.
        cluster: Where there are clusters.
    """

    video_id: str
    frames: Sequence[int]
    uncertainties: Sequence[float] = ()
    penalties: Sequence[float] = ()
    video_score: float | None = None
    cluster: int | None = None


def interleave(strata: Sequence[Sequence[T]]) -> list[T]:
    """Merges ordered lists so that whatever prefix is bought, each has had its proportional part of it.

    The i-th item of a list of n stands at ``(i + 1/2) / n`` of the way; ties go to the earlier list. After any
    prefix every list is within half an item of the same fraction of its length.
    """
    standing = [
        ((2 * index + 1) / (2 * len(stratum)), number, index)
        for number, stratum in enumerate(strata)
        for index in range(len(stratum))
    ]
    return [strata[number][index] for _, number, index in sorted(standing)]


def purchase(videos: Sequence[PickedVideo], max_frames: int | None) -> pa.Table:
    """The frames to buy, video after video.

    Args:
        videos: In the order of purchase.
        max_frames: Frames to buy at most: the last video within it may get fewer frames, those behind it none.

    Returns:
        Table of `SELECTION_SCHEMA` with ranks 0 … n - 1; the quota of a cluster is the number of its videos here.
    """
    quotas = Counter(video.cluster for video in videos)
    rows = [
        {
            "video_id": video.video_id,
            "frame": frame,
            "cluster": video.cluster,
            "quota": None if video.cluster is None else quotas[video.cluster],
            "uncertainty": video.uncertainties[index] if video.uncertainties else None,
            "proximity_penalty": video.penalties[index] if video.penalties else None,
            "video_score": video.video_score,
        }
        for video in videos
        for index, frame in enumerate(video.frames)
    ]
    ranked = [{**row, "rank": rank} for rank, row in enumerate(rows[:max_frames])]
    return pa.Table.from_pylist(ranked, schema=SELECTION_SCHEMA)
