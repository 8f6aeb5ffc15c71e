"""What the tasks of a Label Studio export say: of which video each is, and what somebody drew in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.formats.annotations import FrameNumbers
from hybridal_ray.pool.formats.frame_ranges import KEY, from_text
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.untrusted import inner_path, parse_json

CLASSES = "pool_classes"  # key in the data of a task of our own
_PARTS = ("x", "y", "width", "height")
_ANNOTATIONS = ("annotations", "completions")  # the second as old versions call them
# Of the tags that draw on pictures: such a task is of no video.
_PICTURE_SHAPES = tuple(
    shape + labels for shape in ("rectangle", "ellipse", "polygon", "keypoint", "brush") for labels in ("", "labels")
)


@dataclass(frozen=True)
class Region:
    """One actor, as the tool keeps it.

    Attributes:
        tube_id: Its name in the task.
        labels: What it does.
        rows: (K, 6), by keyframe: x, y, width, height in percent, rotation, frame from 1; ascending in the frame.
        enabled: (K,), whether it is there after the keyframe.
        seconds: Of a frame of the labelling grid; NaN where no times are told.
    """

    tube_id: str
    labels: tuple[str, ...]
    rows: np.ndarray
    enabled: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Task:
    """A video in the tool.

    Attributes:
        location: The file it stands in.
        video_id: By which the video is looked for.
        classes: The pool's in their order, which our own export names.
        looked_at: The frames that our own export names; None in files of the tool.
        annotations: How many people's work there is that was not cancelled; 0: nobody has labelled the video.
        predicted: Whether there are predictions.
        regions: Of the annotation that counts.
    """

    location: str
    video_id: str
    classes: Sequence[str]
    looked_at: FrameNumbers | None
    annotations: int
    predicted: bool
    regions: Sequence[Region]


def read_tasks(location: str) -> list[Task]:
    """Reads a file: a task, a list of tasks, or annotations alone, all of one video.

    Of several annotations of a task that were not cancelled, the last counts that is marked as ground truth; where none
    is, the last.

    Raises:
        UserError: The file is absent or malformed, or of something else than videos; the message names the place.
    """
    content = parse_json(location)
    tasks = content if isinstance(content, list) else [content]
    if not tasks or not all(isinstance(task, dict) for task in tasks):
        raise UserError(f"{location}: expected a task of Label Studio, or a list of them")
    if all("result" in task for task in tasks):
        tasks = [{"annotations": tasks}]
    return [_task(task, location, number) for number, task in enumerate(tasks)]


def _task(task: Mapping[str, Any], location: str, number: int) -> Task:
    name = _video_of(task, location, number)
    classes, looked_at = _own_classes(task, location), _looked_at(task, location)
    if not any(key in task for key in (*_ANNOTATIONS, "predictions")):
        found = ", ".join(sorted(map(str, task))) or "nothing"
        raise UserError(
            f"{location}: task {number} holds {found}, expected annotations, as in an export of videos as JSON "
            "(JSON-MIN does not serve)"
        )
    sets: Any = next((task[key] for key in _ANNOTATIONS if task.get(key)), [])
    if not isinstance(sets, list) or not all(isinstance(one, dict) for one in sets):
        raise UserError(f"{location}: annotations is not a list of objects")
    kept = [one for one in sets if not one.get("was_cancelled")]
    chosen = ([one for one in kept if one.get("ground_truth")] or kept)[-1:]
    regions = [region for one in chosen for region in _regions(one, location, number)]
    return Task(location, name, classes, looked_at, len(kept), bool(task.get("predictions")), regions)


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


def _looked_at(task: Mapping[str, Any], location: str) -> FrameNumbers | None:
    data = task.get("data")
    if not isinstance(data, dict) or KEY not in data:
        return None
    try:
        return from_text(str(data[KEY]))
    except ValueError as error:
        raise UserError(f"{location}: {KEY}: {error}") from error


def _regions(annotation: Mapping[str, Any], location: str, task: int) -> list[Region]:
    """The rectangles of an annotation."""
    result = annotation.get("result") or []
    if not isinstance(result, list):
        raise UserError(f"{location}: task {task}: result is {result!r}, expected a list of regions")
    kinds = [region.get("type") if isinstance(region, dict) else None for region in result]
    if "videorectangle" not in kinds and (shapes := [kind for kind in kinds if kind in _PICTURE_SHAPES]):
        raise UserError(f"{location}: task {task}: a region is a {shapes[0]} of an image, expected videorectangle")
    regions = []
    for number, (kind, region) in enumerate(zip(kinds, result, strict=True)):
        if kind == "videorectangle":
            try:
                regions.append(_region(region, number))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise UserError(f"{location}: region {number}: {type(error).__name__}: {error}") from error
    return regions


def _region(region: Mapping[str, Any], number: int) -> Region:
    value = region["value"]
    sequence = sorted(value["sequence"], key=lambda key: key["frame"])
    if not sequence:
        raise ValueError("an empty sequence")
    labels = value.get("labels") or ["object"]
    if not isinstance(labels, list):
        raise ValueError(f"labels is {labels!r}, expected a list of names")
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
    seconds = float(np.median(times)) if times else float("nan")
    return Region(str(tube_id), tuple(str(label) for label in labels), rows, enabled, seconds)
