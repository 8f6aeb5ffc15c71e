"""Importer of Label Studio's video tracking JSON.

Positions are percentages, widths and heights may be negative, and frames are counted from 1 on the frame rate of the
labelling configuration (24 where it sets none), not of the video. ``enabled: false`` means there *at* that frame and
gone after it. Between keyframes a box moves linearly; an enabled last one lasts to the end.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import (
    NO_FRAMES,
    AnnotatedVideo,
    Annotations,
    FrameNumbers,
    Tube,
    VideoLabels,
    no_labels,
)
from hybridal_ray.pool.formats.keyframes import Keyframes
from hybridal_ray.pool.formats.label_studio_tasks import Region, Task, read_tasks
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.table_checks import check_split

DEFAULT_RATE = 24.0


def read_label_studio(
    location: str, *, split: str = "train", frame_rate: float | None = None, labelled: str = "all"
) -> Annotations:
    """Reads an export: a task, a list of tasks, a list of annotations of one video, or a folder of such files.

    Of several annotations of a task one counts, see `read_tasks`. A task without any, or with predictions alone, is of
    a video that nobody has looked at.

    Args:
        location: The JSON file or the folder.
        split: Of all its videos.
        frame_rate: Of the labelling configuration; None takes it from the times that stand beside the frames, and
            24 where none do.
        labelled: ``all``: who labels a video has looked at all of it; ``boxes``: only at the frames with a box.

    Raises:
        UserError: A file is absent or malformed, and the message names task and region; or there is no such split.
    """
    check_split(split)
    if labelled not in ("all", "boxes"):
        raise UserError(f"--labelled: found {labelled!r}, expected all or boxes")
    files = storage.files_below(location, suffix=".json") if storage.is_directory(location) else [location]
    if not files:
        raise UserError(f"{location}: holds no .json file")
    tasks: dict[str, Task] = {}
    for file in files:
        for number, task in enumerate(read_tasks(file)):
            if (other := tasks.setdefault(task.video_id, task)) is not task:
                raise UserError(
                    f"{file}: task {number} is of the video {task.video_id!r}, as is another of {other.location}"
                )
    used = {label for task in tasks.values() for region in task.regions for label in region.labels}
    named = [label for task in tasks.values() for label in task.classes]
    classes = tuple(dict.fromkeys([*named, *sorted(used)]))
    videos = [
        AnnotatedVideo(
            task.video_id,
            split,
            partial(_labels, task=task, classes=classes, rate=frame_rate, labelled=labelled)
            if task.annotations
            else no_labels,
        )
        for _, task in sorted(tasks.items())
    ]
    return Annotations(classes, videos, _notes(list(tasks.values())), by_time=True)


def _notes(tasks: Sequence[Task]) -> list[str]:
    rotated = sum(bool(region.rows[:, 4].any()) for task in tasks for region in task.regions)
    unlabelled = [task for task in tasks if not task.annotations]
    foretold = sum(task.predicted for task in unlabelled)
    several = sum(task.annotations > 1 for task in tasks)
    told = {
        f"{rotated} rotated boxes became the upright ones around them": rotated,
        f"{len(unlabelled)} of {len(tasks)} tasks hold no annotation that was not cancelled: their videos count as "
        "unlabelled": len(unlabelled),
        f"{foretold} of these hold predictions, which are nobody's labels and were left out": foretold,
        f"{several} tasks have several annotations; the last one counts, or the last that is marked as ground "
        "truth": several,
    }
    return [note for note, count in told.items() if count]


def _labels(facts: VideoFacts, *, task: Task, classes: Sequence[str], rate: float | None, labelled: str) -> VideoLabels:
    every = np.arange(facts.num_frames, dtype=np.int64)
    tubes = []
    for region in task.regions:
        there, boxes = _boxes(region, every, _video_frames_per_frame(rate, region.seconds, facts), facts)
        tubes += [Tube(region.tube_id, classes.index(label), there, boxes) for label in region.labels]
    if task.looked_at is not None:
        return VideoLabels(tubes, task.looked_at)
    return VideoLabels(tubes, every if labelled == "all" else NO_FRAMES)


def _boxes(region: Region, every: FrameNumbers, per_frame: float, facts: VideoFacts) -> tuple[FrameNumbers, np.ndarray]:
    """The frames of the video that an actor is on (N,), and its boxes there in pixels (N, 4)."""
    at = np.rint((region.rows[:, 5] - 1) * per_frame).astype(np.int64)
    frames, last = np.unique(at[::-1], return_index=True)  # of two on one frame of the video, the later
    rows = len(at) - 1 - last
    keys = Keyframes(frames, region.rows[rows, :5], np.ones(len(rows), dtype=bool), region.enabled[rows])
    there, positions, _ = keys.on(every)
    positions[:, :4] *= np.array([facts.width, facts.height] * 2) / 100  # first: boxes are turned in pixels
    boxes = [around(x, y, w, h, turn, about_centre=False) for x, y, w, h, turn in positions.tolist()]
    return there, np.array(boxes).reshape(-1, 4)


def _video_frames_per_frame(rate: float | None, seconds: float, facts: VideoFacts) -> float:
    """Frames of the video for each of the labelling grid; both are the same where the video states no rate."""
    if facts.fps <= 0:
        return 1.0
    if rate is None and np.isfinite(seconds):
        return seconds * facts.fps
    return facts.fps / (rate or DEFAULT_RATE)
