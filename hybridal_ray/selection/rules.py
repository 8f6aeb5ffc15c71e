"""The two choices that a strategy combines: which videos, and which frames of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hybridal_ray.selection.pool_rows import PoolRows
from hybridal_ray.selection.request import SelectionRequest


@dataclass(frozen=True)
class Lot:
    """Videos that were chosen together.

    Attributes:
        places: Rows of `PoolRows`, in the order of purchase.
        cluster: Of all of them, where there are clusters.
    """

    places: Sequence[int]
    cluster: int | None = None


class VideoRule(Protocol):
    """Which videos of the pool to buy from.

    Attributes:
        needs_scores: Whether there must have been a scoring pass (or, before the first round, latents).
        columns: Of `SCORES_SCHEMA`, those that `PoolRows.table` shall hold. A video that has none of one of them cannot
            be bought, and where ``latent`` is among them, a video without it is left out altogether.

    One more attribute may be there:
        needs_videos: Whether it reads `SelectionRequest.videos`; no such attribute says no.
    """

    needs_scores: bool
    columns: Sequence[str]

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """Chooses as many videos as `PoolRows.kinds` says, out of those that it says.

        Returns:
            Lots, which are then bought in turns, each in proportion to its size, so that a budget of frames that ends
            early has been shared out evenly.
        """
        ...


def reads_videos(rule: VideoRule) -> bool:
    """Whether a video rule needs `SelectionRequest.videos`."""
    return bool(getattr(rule, "needs_videos", False))


@dataclass(frozen=True)
class OpenVideo:
    """A video as a frame rule sees it.

    Attributes:
        video_id: Which.
        num_frames: Its length in frames, 0 where no rule needs it.
        answered: Its frames that cannot be bought.
        scores: The columns of `SCORES_SCHEMA` that the rule asked for.
    """

    video_id: str
    num_frames: int
    answered: Sequence[int]
    scores: Mapping[str, Any]


@dataclass(frozen=True)
class VideoFrames:
    """Frames that were chosen in a video, the most wanted first, with the reason where there is one.

    Attributes:
        frames: Indices into the video.
        uncertainties: Of each, or empty.
        penalties: Of each, or empty.
    """

    frames: Sequence[int]
    uncertainties: Sequence[float] = ()
    penalties: Sequence[float] = ()


class FrameRule(Protocol):
    """Which frames of a video to buy.

    Attributes:
        columns: Of `SCORES_SCHEMA`, those that `OpenVideo.scores` shall hold; none: it needs no scoring pass.
        needs_videos: Whether it must know how long a video is.
        whole_videos: Whether it buys videos to the last frame; the budget then is one of frames.
    """

    columns: Sequence[str]
    needs_videos: bool
    whole_videos: bool

    def choose(self, video: OpenVideo, count: int, seed: int) -> VideoFrames:
        """Chooses at most `count` frames that are not answered; none only where there is none to be had."""
        ...
