"""Importer of Label Studio's video tracking JSON.

Positions are percentages, widths and heights may be negative, and frames are counted from 1 on the frame rate of the
labelling configuration (24 where it sets none), not of the video. ``enabled: false`` means there *at* that frame and
gone after it. Between keyframes a box moves linearly; an enabled last one lasts to the end.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

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
)
from hybridal_ray.pool.formats.frame_ranges import KEY, from_text
from hybridal_ray.pool.formats.keyframes import Keyframes
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.table_checks import check_split
from hybridal_ray.pool.untrusted import inner_path, parse_json

DEFAULT_RATE = 24.0
CLASSES = "pool_classes"  # key in the data of a task of our own
_PARTS = ("x", "y", "width", "height")


def read_label_studio(
    location: str, *, split: str = "train", frame_rate: float | None = None, labelled: str = "all"
) -> Annotations:
    """Reads an export: a task, a list of tasks, a list of annotations of one video, or a folder of such files.

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
    tasks: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for file in files:
        for number, task in enumerate(_tasks(parse_json(file), file)):
            name = _video_of(task, file, number)
            if name in tasks:
                raise UserError(f"{file}: task {number} is of the video {name!r}, as is another of {tasks[name][0]}")
            tasks[name] = (file, task)
    regions = {name: _regions(task, file) for name, (file, task) in tasks.items()}
    used = {label for of_video in regions.values() for region in of_video for label in region[1]}
    named = [_own_classes(task, file) for file, task in tasks.values()]
    classes = tuple(dict.fromkeys([*(label for of_task in named for label in of_task), *sorted(used)]))
    rotated = sum(bool(region[2][:, 4].any()) for of_video in regions.values() for region in of_video)
    notes = [f"{rotated} rotated boxes became the upright ones around them"] if rotated else []
    return Annotations(
        classes,
        [
            AnnotatedVideo(
                name,
                split,
                partial(
                    _labels,
                    regions=regions[name],
                    classes=classes,
                    rate=frame_rate,
                    looked_at=_looked_at(task, file, labelled),
                ),
            )
            for name, (file, task) in sorted(tasks.items())
        ],
        notes,
    )


# Name of the actor, labels, (K, 6) x, y, width, height, rotation and frame, (K,) enabled, seconds a frame or NaN
_Region = tuple[str, tuple[str, ...], np.ndarray, np.ndarray, float]


def _labels(
    facts: VideoFacts,
    *,
    regions: Sequence[_Region],
    classes: Sequence[str],
    rate: float | None,
    looked_at: str | FrameNumbers,
) -> VideoLabels:
    every = np.arange(facts.num_frames, dtype=np.int64)
    tubes = []
    for tube_id, labels, values, enabled, seconds in regions:
        per_frame = _video_frames_per_frame(rate, seconds, facts)
        at = np.rint((values[:, 5] - 1) * per_frame).astype(np.int64)
        frames, last = np.unique(at[::-1], return_index=True)  # of two on one frame of the video, the later
        rows = len(at) - 1 - last
        keys = Keyframes(frames, values[rows, :5], np.ones(len(rows), dtype=bool), enabled[rows])
        there, positions, _ = keys.on(every)
        positions[:, :4] *= np.array([facts.width, facts.height] * 2) / 100  # first: boxes are turned in pixels
        boxes = np.array(
            [around(x, y, w, h, turn, about_centre=False) for x, y, w, h, turn in positions.tolist()]
        ).reshape(-1, 4)
        tubes += [Tube(tube_id, classes.index(label), there, boxes) for label in labels]
    if isinstance(looked_at, str):
        return VideoLabels(tubes, every if looked_at == "all" else NO_FRAMES)
    return VideoLabels(tubes, looked_at)


def _video_frames_per_frame(rate: float | None, seconds: float, facts: VideoFacts) -> float:
    """Frames of the video for each of the labelling grid; both are the same where the video states no rate."""
    if facts.fps <= 0:
        return 1.0
    if rate is None and np.isfinite(seconds):
        return seconds * facts.fps
    return facts.fps / (rate or DEFAULT_RATE)


def _tasks(content: Any, location: str) -> list[Mapping[str, Any]]:
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise UserError(f"{location}: expected a task of Label Studio, or a list of them")
    if all("result" in task for task in tasks):  # annotations or predictions alone, all of one video
        return [{"annotations": tasks}]
    return tasks


def _video_of(task: Mapping[str, Any], location: str, number: int) -> str:
    """Name of a task's video: as our own export gives it; else the last part of its address; else that of the file."""
    data = task.get("data")
    values = data if isinstance(data, dict) else {}
    if values.get("video_id"):
        name = inner_path(str(values["video_id"]), location)
        return name if CLASSES in values else without_suffix(name)
    paths = [_path_of(value) for value in values.values() if isinstance(value, str)]
    named = [path for path in paths if without_suffix(path) != path]
    if not named:
        stem = location.rpartition("/")[2].removesuffix(".json")
        return stem if number == 0 else f"{stem}-{number}"
    return without_suffix(inner_path(named[0], location))


def _path_of(address: str) -> str:
    """The path in an address, of a file that the server reads itself the one in its query (`d`)."""
    if "://" in address:
        return unquote(urlsplit(address).path).rpartition("/")[2]
    path, _, query = address.partition("?")
    if path.rstrip("/").endswith("data/local-files"):
        path = parse_qs(query).get("d", [""])[0]
    return path.lstrip("/")


def _own_classes(task: Mapping[str, Any], location: str) -> list[str]:
    """The pool's classes in their order, which our own export names."""
    data = task.get("data")
    named = data.get(CLASSES, []) if isinstance(data, dict) else []
    if not isinstance(named, list) or not all(isinstance(label, str) for label in named):
        raise UserError(f"{location}: {CLASSES}: expected a list of names")
    return named


def _looked_at(task: Mapping[str, Any], location: str, labelled: str) -> str | FrameNumbers:
    """The frames that our own export names, or else what to make of all."""
    data = task.get("data")
    if not isinstance(data, dict) or KEY not in data:
        return labelled
    try:
        return from_text(str(data[KEY]))
    except ValueError as error:
        raise UserError(f"{location}: {KEY}: {error}") from error


def _regions(task: Mapping[str, Any], location: str) -> list[_Region]:
    """The rectangles of a task: of its last annotation that was not cancelled, or of its last prediction."""
    sets = task.get("annotations") or task.get("completions") or task.get("predictions") or []
    if not isinstance(sets, list) or not all(isinstance(one, dict) for one in sets):
        raise UserError(f"{location}: annotations is not a list of objects")
    kept = [one for one in sets if not one.get("was_cancelled")]
    regions = []
    for number, region in enumerate((kept[-1].get("result") or []) if kept else []):
        if isinstance(region, dict) and region.get("type") == "videorectangle":
            try:
                regions.append(_region(region, number))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UserError(f"{location}: region {number}: {type(error).__name__}: {error}") from error
    return regions


def _region(region: Mapping[str, Any], number: int) -> _Region:
    value = region["value"]
    sequence = sorted(value["sequence"], key=lambda key: key["frame"])
    if not sequence:
        raise ValueError("an empty sequence")
    labels = tuple(str(label) for label in value.get("labels") or ["object"])
    rows = np.array(
        [
            [*(float(key[part]) for part in _PARTS), float(key.get("rotation", 0)), float(key["frame"])]
            for key in sequence
        ]
    )
    if not np.isfinite(rows).all() or (rows[:, 5] < 1).any() or (np.abs(rows) > 1e9).any():
        raise ValueError("a position or frame that is none; frames are counted from 1")
    enabled = np.array([bool(key.get("enabled", True)) for key in sequence])
    times = [float(key["time"]) / float(key["frame"]) for key in sequence if key.get("time")]
    tube_id = (region.get("meta") or {}).get("tube_id") or region.get("id") or str(number)
    return str(tube_id), labels, rows, enabled, float(np.median(times)) if times else float("nan")
