"""What a selection strategy is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hybridal_ray.pool.tables import Video
from hybridal_ray.selection.score_batches import ScoreBatches


@dataclass(frozen=True)
class SelectionRequest:
    """All that a strategy may know. No label is in it: only which frames are labelled or answered already.

    Attributes:
        videos: The videos that can be bought from: the usable videos of the train split. Empty for strategies
            that do not need them.
        labelled: By video id, the frames that are labelled already; a video without any may be missing.
        scores: Of these videos, from the scoring pass; None for strategies that need no scores.
        centres: (K, D), the cluster centres of the detector's checkpoint, None where it holds none.
        num_videos: Videos to buy from in the round; all of them where there are fewer.
        frames_per_video: A, frames to buy in each; all of them where there are fewer.
        max_frames: Frames to buy in the round at most, None for no such bound.
        revisit_fraction: Part of the round's videos, in [0, 1], that are to be labelled already (method §5).
        seed: Of everything random in the selection.
        memory_mib: What may be held at once of a pool that does not fit in memory.
        clusters_to: Where a strategy that clusters leaves the cluster of each video, a Parquet file of
            `CLUSTERS_SCHEMA`; None leaves none.
        round_index: The round that ends with this selection; None before the first one, or where nobody counts.
        clusters: K that the configuration asks of deep clustering, for strategies that cluster by themselves.
        answered: By video id, the frames that nobody is to be asked for again: the labelled ones, and those of which an
            annotator could not tell, which make a video no labelled one. None: the labelled ones alone.
    """

    videos: Sequence[Video]
    labelled: Mapping[str, Sequence[int]]
    scores: ScoreBatches | None
    centres: npt.NDArray[np.floating] | None
    num_videos: int
    frames_per_video: int
    max_frames: int | None
    revisit_fraction: float
    seed: int
    memory_mib: int
    clusters_to: str | None
    round_index: int | None = None
    clusters: int = 5  # the paper's number on UCF-101-24
    answered: Mapping[str, Sequence[int]] | None = None

    def __post_init__(self) -> None:
        if self.num_videos < 0:
            raise ValueError(f"num_videos: found {self.num_videos}, expected 0 or more")
        if self.frames_per_video < 1:
            raise ValueError(f"frames_per_video: found {self.frames_per_video}, expected 1 or more")
        if self.max_frames is not None and self.max_frames < 0:
            raise ValueError(f"max_frames: found {self.max_frames}, expected 0 or more, or None")
        if self.memory_mib < 1:
            raise ValueError(f"memory_mib: found {self.memory_mib}, expected 1 or more")
        if not 0 <= self.revisit_fraction <= 1:
            raise ValueError(f"revisit_fraction: found {self.revisit_fraction}, expected 0 to 1")

    def taken_in(self, video_id: str) -> Sequence[int]:
        """The frames of a video that cannot be bought."""
        return (self.labelled if self.answered is None else self.answered).get(video_id, ())


def frame_budget(request: SelectionRequest) -> int:
    """Frames that the round may buy: those of its videos together, or fewer where `max_frames` says so."""
    budget = request.num_videos * request.frames_per_video
    return budget if request.max_frames is None else min(budget, request.max_frames)


@dataclass(frozen=True)
class Selection:
    """What to label next.

    Attributes:
        picks: Table of `SELECTION_SCHEMA`, one row a frame, in the order of `rank`.
    """

    picks: pa.Table


class Strategy(Protocol):
    """Decides which frames of which videos to label next.

    A strategy is built from the options of the configuration, as keyword arguments, and must be a function of
    the request alone: equal requests give equal selections.

    Attributes:
        needs_scores: Whether `SelectionRequest.scores` must be there. Where it need not, a round can do
            without the scoring pass.
        needs_videos: Whether `SelectionRequest.videos` must be there. Where it need not, a list of millions is not
            sent through the cluster.

    Two more attributes may be there:
        measure: Uncertainty by which scoring shall measure the pool, one of `scoring.measure`; None, or no such
            attribute, is the one of the configuration.
        budget_in_frames: True where `frame_budget` alone bounds the selection, over any number of videos and of frames
            in each; False, or no such attribute, where `num_videos` and `frames_per_video` bound it too.
    """

    needs_scores: bool
    needs_videos: bool

    def select(self, request: SelectionRequest) -> Selection:
        """Picks frames that are not labelled yet, within the budget of the request."""
        ...


def measure_of(strategy: Strategy) -> str | None:
    """The uncertainty by which a strategy wants the pool scored; None where the configuration decides."""
    measure: str | None = getattr(strategy, "measure", None)
    return measure


def budget_in_frames(strategy: Strategy) -> bool:
    """Whether a strategy is bound by `frame_budget` alone."""
    return bool(getattr(strategy, "budget_in_frames", False))
