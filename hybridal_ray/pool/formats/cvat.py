"""Importer of CVAT for video 1.1: tracks of boxes and masks, one XML file a task or a folder of them.

``frame`` is absolute in the source video; a task may take every n-th frame from some start on. ``outside="1"``: the
object is gone from that frame on. Between keyframes CVAT interpolates linearly and holds the last to the end; files
that spell out every frame are taken as they stand, holes included.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from xml.etree.ElementTree import Element

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, Tube, VideoLabels
from hybridal_ray.pool.formats.cvat_shapes import Shape, read_shapes
from hybridal_ray.pool.formats.frame_ranges import KEY, from_text
from hybridal_ray.pool.formats.keyframes import Keyframes
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.table_checks import check_split
from hybridal_ray.pool.untrusted import inner_path, parse_xml, parse_xml_content
from hybridal_ray.registry import nearest

MAX_FRAMES = 1 << 24  # of a task: more than six days at 30 frames a second
INTERPOLATIONS = ("auto", "always", "never")


@dataclass(frozen=True)
class _Track:
    tube_id: str
    label: str
    actor: str | None
    shapes: Sequence[Shape]  # by frame, each once, at least one


@dataclass(frozen=True)
class _Task:
    """One XML file.

    Attributes:
        location: Of the file.
        source: The video it names, without ending.
        labels: In the order of its specification.
        tracks: Of boxes and masks.
        width: Of the annotated picture; 0 where the file does not say.
        height: See `width`.
        start: First frame of the task.
        step: Between its frames.
        stop: Last frame that may be one of the task's; None where the file does not say.
        looked_at: As our own export tells it; None in files of CVAT.
        ignored: Tracks of other shapes.
    """

    location: str
    source: str
    labels: tuple[str, ...]
    tracks: tuple[_Track, ...]
    width: int
    height: int
    start: int
    step: int
    stop: int | None
    looked_at: np.ndarray | None
    ignored: int

    def last_frame(self) -> int:
        """The last frame that the file speaks of, −1 where it speaks of none."""
        if self.stop is not None:
            return self.stop
        return max((shape.frame for track in self.tracks for shape in track.shapes), default=-1)

    def grid(self, num_frames: int) -> np.ndarray:
        """The frames of the task."""
        if self.stop is not None:
            return np.arange(self.start, min(self.stop, num_frames - 1) + 1, self.step, dtype=np.int64)
        frames = [shape.frame for track in self.tracks for shape in track.shapes]
        return np.unique(np.array([frame for frame in frames if frame < num_frames], dtype=np.int64))


def read_cvat(
    location: str, *, split: str = "train", class_attribute: str | None = None, interpolate: str = "auto"
) -> Annotations:
    """Reads an XML file or a folder of them.

    All frames of a task count as labelled; where a file names no task, the frames that it has a shape on.

    Args:
        location: The file or the folder.
        split: Of all its videos.
        class_attribute: Where the action is an attribute of the boxes, its name; a box without it has the class of
            its label. None: the label is the class.
        interpolate: ``always``: between the keyframes, as CVAT does; ``never``: only what is spelled out; ``auto``:
            tracks that have a shape on most frames between their first and last are taken as spelled out.

    Raises:
        UserError: A file is absent, hostile or malformed, two files are of the same video, there is no such split, or
            no shape has the attribute.
    """
    check_split(split)
    if interpolate not in INTERPOLATIONS:
        raise UserError(f"--interpolate: found {interpolate!r}, expected one of {', '.join(INTERPOLATIONS)}")
    folder = storage.is_directory(location)
    files = storage.files_below(location, suffix=".xml") if folder else [location]
    if not files:
        raise UserError(f"{location}: holds no .xml file")
    tasks = [_read_task(parse_xml(file), file) for file in files]
    if class_attribute is not None:
        _check_attribute(class_attribute, tasks, location)
    return _annotations(tasks, split, class_attribute, interpolate)


def _check_attribute(name: str, tasks: Sequence[_Task], location: str) -> None:
    """Mistyped, it would leave every box with the class of its label, without a word."""
    shapes = [shape for task in tasks for track in task.tracks for shape in track.shapes]
    known = sorted({attribute for shape in shapes for attribute in shape.attributes})
    if shapes and name not in known:
        expected = f"expected one of {', '.join(known)}{nearest(name, known)}" if known else "they have none at all"
        raise UserError(f"--class-attribute: no box or mask of {location} has an attribute {name!r}; {expected}")


def read_cvat_content(content: bytes, location: str) -> Annotations:
    """The annotations of one XML file that was read already, as `read_cvat` reads it; `location` is for messages.

    Raises:
        UserError: It is hostile or malformed.
    """
    return _annotations([_read_task(parse_xml_content(content, location), location)], "train", None, "auto")


def _annotations(tasks: Sequence[_Task], split: str, class_attribute: str | None, interpolate: str) -> Annotations:
    by_source: dict[str, _Task] = {}
    for task in tasks:
        if (first := by_source.setdefault(task.source, task)) is not task:
            raise UserError(f"{task.location}: is of the video {task.source!r}, as is {first.location}")
    classes = _classes(tasks, class_attribute)
    ignored = sum(task.ignored for task in tasks)
    notes = [f"{ignored} tracks of points, lines or other shapes were left out; expected boxes or masks"]
    return Annotations(
        classes,
        [
            AnnotatedVideo(
                video_id=task.source,
                split=split,
                labels=partial(
                    _labels, task=task, classes=classes, class_attribute=class_attribute, interpolate=interpolate
                ),
                claimed=VideoFacts(task.last_frame() + 1, 0.0, task.width, task.height),
            )
            for task in tasks
        ],
        notes if ignored else (),
    )


def _classes(tasks: Sequence[_Task], class_attribute: str | None) -> tuple[str, ...]:
    labels = [label for task in tasks for label in task.labels] if class_attribute is None else []
    used = [
        _class_of(track, shape, class_attribute) for task in tasks for track in task.tracks for shape in track.shapes
    ]
    return tuple(dict.fromkeys([*labels, *sorted(set(used))]))


def _class_of(track: _Track, shape: Shape, class_attribute: str | None) -> str:
    return track.label if class_attribute is None else shape.attributes.get(class_attribute, track.label)


def _labels(
    facts: VideoFacts, *, task: _Task, classes: Sequence[str], class_attribute: str | None, interpolate: str
) -> VideoLabels:
    picture = (task.width, task.height) if task.width and task.height else (facts.width, facts.height)
    scale = np.array([facts.width / picture[0], facts.height / picture[1]] * 2) if all(picture) else np.ones(4)
    grid = task.grid(facts.num_frames)
    tubes = []
    for track in task.tracks:
        keys = _keyframes(track, task.step, interpolate)
        frames, boxes, last = keys.on(grid)
        masks, boxes = _with_masks(track, last, boxes * scale, picture, facts)
        of_class = np.array([classes.index(_class_of(track, track.shapes[key], class_attribute)) for key in last])
        for class_id in np.unique(of_class).tolist():
            rows = np.flatnonzero(of_class == class_id)
            chosen = [masks[row] for row in rows] if any(masks) else ()
            tubes.append(Tube(track.tube_id, class_id, frames[rows], boxes[rows], chosen, track.actor))
    return VideoLabels(tubes, grid if task.looked_at is None else task.looked_at)


def _keyframes(track: _Track, step: int, interpolate: str) -> Keyframes:
    frames = np.array([shape.frame for shape in track.shapes], dtype=np.int64)
    shown = np.array([not shape.outside for shape in track.shapes])
    shown_after = shown.copy()
    gaps = np.diff(frames)
    spelled_out = len(gaps) > 0 and (gaps <= step).mean() > 0.5
    if interpolate == "never" or (interpolate == "auto" and spelled_out):
        shown_after[:] = False
    boxes = np.array([shape.box for shape in track.shapes], dtype=np.float64)
    return Keyframes(frames, boxes, shown, shown_after)


def _with_masks(
    track: _Track, keys: np.ndarray, boxes: np.ndarray, picture: tuple[int, int], facts: VideoFacts
) -> tuple[list[str | None], np.ndarray]:
    """The mask of the keyframe, which holds until the next, and boxes (N, 4): where there is a mask, the one around it.

    Edges of its crop that were scaled or interpolated are those of another shape.
    """
    boxes = boxes.copy()
    counts: list[str | None] = [None] * len(keys)
    for key in np.unique(keys).tolist():
        mask = track.shapes[key].mask
        placed = None if mask is None else mask.on_video(picture, facts)
        if placed is None:
            continue
        for row in np.flatnonzero(keys == key).tolist():
            counts[row], boxes[row] = placed
    return counts, boxes


def _read_task(root: Element, location: str) -> _Task:
    if root.tag != "annotations":
        raise UserError(f"{location}: the root is <{root.tag}>, expected <annotations> of CVAT for video 1.1")
    if root.find("image") is not None:
        raise UserError(f"{location}: holds <image> elements; export the task as CVAT for video 1.1")
    if root.find("meta/project") is not None:
        raise UserError(f"{location}: is of a whole project, whose tasks share its frames; export each task alone")
    meta = root.find("meta/task")
    meta = root.find("meta/job") if meta is None else meta
    step = _step(_text(meta, "frame_filter"), location)
    start = _number(meta, "start_frame", location) or 0
    size, stop = _number(meta, "size", location), _number(meta, "stop_frame", location)
    if stop is None and size is not None:
        stop = start + (size - 1) * step
    if start < 0 or (stop is not None and not 0 <= stop < MAX_FRAMES):
        raise UserError(f"{location}: a task of frames {start} to {stop}, expected 0 to {MAX_FRAMES - 1} at most")
    tracks = [(number, track, read_shapes(track, location)) for number, track in enumerate(root.findall("track"))]
    named = _text(meta, "source") or _text(root, "meta/source") or location.rpartition("/")[2].removesuffix(".xml")
    looked_at = _text(meta, KEY)
    try:
        frames = None if looked_at is None else from_text(looked_at)
    except ValueError as error:
        raise UserError(f"{location}: {KEY}: {error}") from error
    return _Task(
        location,
        without_suffix(inner_path(named, location)),
        tuple(name.text for name in (root if meta is None else meta).findall("labels/label/name") if name.text),
        _with_unique_ids([_track(number, track, shapes, location) for number, track, shapes in tracks if shapes]),
        _number(meta, "original_size/width", location) or 0,
        _number(meta, "original_size/height", location) or 0,
        start,
        step,
        stop,
        frames,
        sum(not shapes for _, _, shapes in tracks),
    )


def _track(number: int, track: Element, shapes: Sequence[Shape], location: str) -> _Track:
    """Tracks without an id, as in older files, are numbered; our own export names the tube in an attribute.

    Who it is, people tell in the attribute ``actor`` of the labels that a request brings.
    """
    label = track.get("label")
    if not label:
        raise UserError(f"{location}: track {track.get('id', number)} has no label")
    by_frame = {shape.frame: shape for shape in shapes}
    ordered = [by_frame[frame] for frame in sorted(by_frame)]
    named = ordered[0].attributes.get("tube_id")
    actor = ordered[0].attributes.get("actor") or named or None
    return _Track(named or track.get("id") or str(number), label, actor, ordered)


def _with_unique_ids(tracks: Sequence[_Track]) -> tuple[_Track, ...]:
    """Two tracks of one label and id are two actors all the same."""
    taken: set[tuple[str, str]] = set()
    unique = []
    for number, track in enumerate(tracks):
        clash = (track.tube_id, track.label) in taken
        unique.append(replace(track, tube_id=f"{track.tube_id}/{number}") if clash else track)
        taken.add((track.tube_id, track.label))
    return tuple(unique)


def _text(element: Element | None, path: str) -> str | None:
    found = None if element is None else element.find(path)
    return None if found is None else (found.text or "").strip()


def _number(meta: Element | None, path: str, location: str) -> int | None:
    text = _text(meta, path)
    if not text:
        return None
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"{location}: {path} is {text!r}, expected a whole number") from error


def _step(frame_filter: str | None, location: str) -> int:
    text = (frame_filter or "").replace(" ", "").removeprefix("step=") or "1"
    if not text.isdigit() or int(text) < 1:
        raise UserError(f"{location}: frame_filter is {frame_filter!r}, expected such as step=3")
    return int(text)
