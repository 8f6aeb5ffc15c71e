"""Sets of frames as text, ``0-3,7``: how our exports say in a foreign format which frames were looked at."""

import re

import numpy as np
import numpy.typing as npt

KEY = "labelled_frames"
MAX_FRAMES = 1 << 26
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?")


def as_text(frames: npt.NDArray[np.int64]) -> str:
    """Writes ascending frames, each once."""
    if len(frames) == 0:
        return ""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) != 1) + 1)
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def from_text(text: str) -> npt.NDArray[np.int64]:
    """Reads what `as_text` wrote.

    Raises:
        ValueError: It is something else.
    """
    frames: list[npt.NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for part in text.split(",") if text else []:
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{part!r} is no range of frames, expected such as 0-3,7")
        first = int(match[1])
        last = int(match[2] or first)
        if last - first > MAX_FRAMES:
            raise ValueError(f"{part!r} names more than {MAX_FRAMES} frames")
        frames.append(np.arange(first, last + 1, dtype=np.int64))
    return np.unique(np.concatenate(frames))
