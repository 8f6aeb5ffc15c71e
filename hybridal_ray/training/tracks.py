"""Pseudo-labels: what the labelled frames of a tube say of the frames between and around them.

Method §6: between two labelled frames a box is interpolated linearly, corner by corner; before the first and
after the last it is held, inside the temporal extent of the tube.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.ledger import VideoLabels

Boxes = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Track:
    """One stay of an actor in a video while it does one thing, as far as it is labelled.

    Attributes:
        class_id: What the actor does.
        frames: (L,), the labelled frames of the stay, ascending, those before and after the track among them.
        boxes: (L, 4), its box on each of them, in pixels of the decoded frame.
        masks: RLE counts on each of them, or None where only the box is known.
        first: First frame of its temporal extent.
        last: Last frame of its temporal extent, inclusive.
    """

    class_id: int
    frames: npt.NDArray[np.int64]
    boxes: Boxes
    masks: tuple[str | None, ...]
    first: int
    last: int


def tracks_of(labels: VideoLabels, num_frames: int) -> list[Track]:
    """Gathers the labelled boxes of a video into tracks, ordered by tube id, then time.

    The extent of a tube is not labelled as such. It reaches to the ends of the video, unless a labelled frame on
    which the tube is absent lies on that side: then half-way to the nearest such frame. A tube that is absent on a
    labelled frame between two of its own has left and come back: these are two tracks, and the frame stays empty.
    Where the class changes from one labelled frame to the next, one track ends half-way and the next begins. Of several
    classes on one frame the first counts: a detector is taught one action an actor.

    Args:
        labels: The labelled frames of one video.
        num_frames: Frames of the video.

    Returns:
        One track a tube, stay and class that is kept.
    """
    by_tube: dict[str, dict[int, None]] = {}  # its frames, each once
    for frame in sorted(labels):
        for actor in labels[frame]:
            by_tube.setdefault(actor.tube_id, {})[frame] = None
    tracks: list[Track] = []
    for tube_id, frames in sorted(by_tube.items()):
        absent = sorted(labels.keys() - frames.keys())
        for stay in _stays(list(frames), absent):
            tracks += _tracks(tube_id, stay, absent, labels, num_frames)
    return tracks


def _stays(frames: Sequence[int], absent: Sequence[int]) -> list[list[int]]:
    """Splits ascending labelled frames of a tube wherever a frame on which it is absent lies between two of them."""
    last_absent = np.searchsorted(absent, frames)
    starts = [0, *(np.flatnonzero(np.diff(last_absent)) + 1).tolist(), len(frames)]
    return [list(frames[start:end]) for start, end in pairwise(starts)]


def _tracks(
    tube_id: str, stay: Sequence[int], absent: Sequence[int], labels: VideoLabels, num_frames: int
) -> list[Track]:
    actors = [next(a for a in labels[frame] if a.tube_id == tube_id) for frame in stay]
    before = [frame for frame in absent if frame < stay[0]]
    after = [frame for frame in absent if frame > stay[-1]]
    first = (before[-1] + stay[0]) // 2 + 1 if before else 0
    last = (after[0] + stay[-1]) // 2 if after else num_frames - 1
    changes = [i for i in range(1, len(stay)) if actors[i].class_id != actors[i - 1].class_id]
    ends = [(stay[i - 1] + stay[i]) // 2 for i in changes]
    return [
        Track(
            class_id=actors[i].class_id,
            frames=np.array(stay, dtype=np.int64),
            boxes=np.array([actor.box for actor in actors], dtype=np.float64),
            masks=tuple(actor.mask for actor in actors),
            first=start,
            last=end,
        )
        for i, start, end in zip([0, *changes], [first, *(end + 1 for end in ends)], [*ends, last], strict=True)
    ]


def interpolate_boxes(
    track: Track, frames: Sequence[int] | npt.NDArray[np.int64]
) -> tuple[Boxes, npt.NDArray[np.bool_]]:
    """The pseudo-labels of a track on any frames.

    Args:
        track: With at least one labelled frame.
        frames: (F,), frame indices.

    Returns:
        Boxes (F, 4), exact on labelled frames, and whether each frame lies in the track's extent (F,).
    """
    wanted = np.asarray(frames, dtype=np.int64)
    corners = [np.interp(wanted, track.frames, track.boxes[:, corner]) for corner in range(4)]
    inside = (wanted >= track.first) & (wanted <= track.last)
    return np.stack(corners, axis=1), inside
