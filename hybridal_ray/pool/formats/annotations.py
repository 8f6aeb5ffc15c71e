"""What every importer makes of its files: the labels of each video, before they become tables of a pool.

Formats place a box by a frame of their own, in units of their own: a second, a percentage, a frame of a 24 fps grid.
Only the decoded video says what pixel and frame that is, so an importer leaves with each video a function from the
facts of the video to its labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.decoding import VideoFacts

FrameNumbers = npt.NDArray[np.int64]
Boxes = npt.NDArray[np.float64]

NO_FRAMES: FrameNumbers = np.zeros(0, dtype=np.int64)


@dataclass(frozen=True)
class Tube:
    """One actor of a video doing one thing, box by box.

    Attributes:
        tube_id: Which actor of the video; several tubes of one actor share it, and differ in class or frames.
        class_id: What it does.
        frames: (N,), 0-based in decode order.
        boxes: (N, 4), x1, y1, x2, y2 in pixels of the decoded frame, x2 and y2 exclusive.
        masks: N COCO RLE counts over the whole frame, each None where only the box is known; empty for none at all.
        actor: Who it is, where the file names the actor; `tube_id` may be a number of that file alone.
    """

    tube_id: str
    class_id: int
    frames: FrameNumbers
    boxes: Boxes
    masks: Sequence[str | None] = ()
    actor: str | None = None


@dataclass(frozen=True)
class VideoLabels:
    """The labels of one video.

    Attributes:
        tubes: Its actors.
        looked_at: The frames that somebody labelled, possibly without any actor. Those with a box count as
            such whether they are here or not.
    """

    tubes: Sequence[Tube] = ()
    looked_at: FrameNumbers = field(default_factory=lambda: NO_FRAMES)


LabelsOf = Callable[[VideoFacts], VideoLabels]


def no_labels(_: VideoFacts) -> VideoLabels:
    """The labels of a video that nobody has looked at."""
    return VideoLabels()


@dataclass(frozen=True)
class AnnotatedVideo:
    """A video as an annotation file names it.

    Attributes:
        video_id: Unique in the pool.
        split: ``train``, ``val`` or ``test``.
        labels: Its labels, given what the decoded video is.
        group: The source it was cut from.
        claimed: What the annotations say the video is, of use while it is absent; None where they do not say.
    """

    video_id: str
    split: str
    labels: LabelsOf = no_labels
    group: str = ""
    claimed: VideoFacts | None = None


@dataclass(frozen=True)
class Annotations:
    """What a set of annotation files says.

    Attributes:
        classes: Class names; a class id is an index into them.
        videos: Each video id once.
        notes: What was left out or taken differently than one would expect, a sentence each.
        by_time: Whether a label stands at a time, of which only the frame rate of the video makes a frame.
    """

    classes: tuple[str, ...]
    videos: Sequence[AnnotatedVideo]
    notes: Sequence[str] = ()
    by_time: bool = False
