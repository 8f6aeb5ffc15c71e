"""Which frames of a video to label: uncertain ones, away from each other and from those labelled already."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Spacing = Literal["window", "parts"]


@dataclass(frozen=True)
class FrameChoice:
    """A frame that was taken.

    Attributes:
        frame: Index into the video.
        score: Its own uncertainty.
        penalty: What labelled frames and the frames taken before had subtracted from it, at least 0.
    """

    frame: int
    score: float
    penalty: float


def choose_frames(
    scores: Floats, labelled: Sequence[int], count: int, *, sigma: float, window: int, spacing: Spacing = "window"
) -> list[FrameChoice]:
    """Takes the highest score again and again, and lowers the scores around each frame taken.

    Every frame taken, and every labelled frame before the first pick, subtracts ``exp(−d² / 2σ²)`` from the frames
    at distance d ≤ `window` (the intra-sample redundancy of Rana and Rawat, CVPR 2023; the distance penalty of
    proximity-aware scoring). The choice is a function of the scores alone: ties go to the earlier frame.

    A window of a few frames does not part the frames of a stretch that is uncertain throughout. With `spacing` by
    ``parts`` the video is cut into as many equal parts as it will have labelled frames, `labelled` and `count`
    together, and a part that holds a frame is closed. There always are as many open parts as frames to take.

    Args:
        scores: (F,), uncertainty of every frame of the video.
        labelled: Frames that are labelled already; never taken.
        count: A, how many frames to take.
        sigma: σ_p, width of the penalty in video frames, above 0.
        window: Half width, in video frames, beyond which nothing is subtracted.
        spacing: ``window`` is the penalty alone, ``parts`` also takes one frame of a part at most.

    Returns:
        The frames in the order taken: `count`, or all unlabelled ones where there are fewer.

    Raises:
        ValueError: A labelled frame lies outside the video, or a score is not finite.
    """
    taken = sorted(set(labelled))
    if taken and not 0 <= taken[0] <= taken[-1] < len(scores):
        raise ValueError(f"labelled frames {taken[0]}…{taken[-1]} do not fit a video of {len(scores)} frames")
    if not np.isfinite(scores).all():
        raise ValueError("a frame's score is not finite")
    wanted = len(taken) + count
    part = _parts(len(scores), wanted if spacing == "parts" else len(scores))
    free = np.ones(len(scores), dtype=bool)
    penalty = np.zeros(len(scores))
    for frame in taken:
        free &= part != part[frame]
        _penalise(penalty, frame, sigma, window)
    choices: list[FrameChoice] = []
    for _ in range(min(wanted, len(scores)) - len(taken)):
        frame = int(np.argmax(np.where(free, scores - penalty, -np.inf)))
        choices.append(FrameChoice(frame, float(scores[frame]), float(penalty[frame])))
        free &= part != part[frame]
        _penalise(penalty, frame, sigma, window)
    return choices


def video_score(choices: Sequence[FrameChoice]) -> float | None:
    """V_score: the mean over the frames taken of their adjusted scores, uncertainty minus penalty.

    Returns:
        None where no frame was taken, as in a video that is labelled throughout.
    """
    if not choices:
        return None
    return sum(choice.score - choice.penalty for choice in choices) / len(choices)


def _parts(num_frames: int, count: int) -> npt.NDArray[np.int64]:
    """(F,), the equal part that each frame lies in; none of the `count` parts is empty, or each frame is one."""
    return np.arange(num_frames) * min(count, num_frames) // max(num_frames, 1)


def _penalise(penalty: Floats, frame: int, sigma: float, window: int) -> None:
    first, end = max(frame - window, 0), min(frame + window + 1, len(penalty))
    distances = np.arange(first, end) - frame
    penalty[first:end] += np.exp(-(distances**2) / (2.0 * sigma**2))
