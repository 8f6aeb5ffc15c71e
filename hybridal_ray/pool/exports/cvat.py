"""Exporter to CVAT for video 1.1, one XML file a video."""

from collections.abc import Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from hybridal_ray.pool import storage
from hybridal_ray.pool.exports.exporting import Exported, LabelledVideo, labelled_videos, target
from hybridal_ray.pool.formats.annotations import Tube
from hybridal_ray.pool.formats.frame_ranges import KEY, as_text
from hybridal_ray.pool.masks import box_of_mask, decode_mask
from hybridal_ray.pool.tables import Pool


def export_cvat(pool: Pool, out: str, split: str | None = None) -> Exported:
    """Writes a folder of XML files, ``<video_id>.xml``.

    Every box is a keyframe and every gap begins with ``outside``, so that CVAT, which interpolates between keyframes,
    shows just these boxes. A tube is a track for each of its classes; its name is the attribute ``tube_id``. A mask
    is written in place of its box where the box is the one around it. Which frames were looked at is told in an
    element of our own, ``labelled_frames``, that CVAT passes over.

    Args:
        pool: Whose labels.
        out: The folder.
        split: Only of these videos; None for all.

    Returns:
        What was written.

    Raises:
        UserError: There are no labels, or the folder cannot be written to.
    """
    num_videos, left_out = 0, 0
    for video in labelled_videos(pool, split):
        root = _annotations(video, pool.classes, video.video_id)
        storage.write_bytes(target(out, video.video_id, ".xml"), _xml(root))
        num_videos += 1
        left_out += video.num_masks - sum(shape.get("outside") == "0" for shape in root.iter("mask"))
    return Exported(num_videos, left_out)


def files_of_cvat(pool: Pool, out: str, split: str | None = None) -> list[str]:
    """The files that `export_cvat` writes, in its order."""
    return [target(out, video.video_id, ".xml") for video in labelled_videos(pool, split)]


def tracks_xml(video: LabelledVideo, classes: Sequence[str], task: str | None = None) -> bytes:
    """The XML of one video, see `export_cvat`.

    Args:
        video: The video.
        classes: Class names.
        task: Its name; None is the id of the video.
    """
    return _xml(_annotations(video, classes, video.video_id if task is None else task))


def _annotations(video: LabelledVideo, classes: Sequence[str], task: str) -> Element:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    _describe(SubElement(root, "meta"), video, classes, task)
    for number, tube in enumerate(video.tubes):
        _write_track(root, number, tube, video, classes[tube.class_id])
    return root


def _xml(root: Element) -> bytes:
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _describe(meta: Element, video: LabelledVideo, classes: Sequence[str], name_of_task: str) -> None:
    task = SubElement(meta, "task")
    last = max([video.num_frames - 1, *(int(tube.frames[-1]) for tube in video.tubes)])
    facts = {"name": name_of_task, "size": last + 1, "mode": "interpolation", "start_frame": 0, "stop_frame": last}
    for name, value in facts.items():
        SubElement(task, name).text = str(value)
    SubElement(task, "frame_filter")
    SubElement(task, KEY).text = as_text(video.labelled)
    labels = SubElement(task, "labels")
    for name in classes:
        label = SubElement(labels, "label")
        SubElement(label, "name").text = name
        attribute = SubElement(SubElement(label, "attributes"), "attribute")
        for part, text in (("name", "tube_id"), ("mutable", "False"), ("input_type", "text")):
            SubElement(attribute, part).text = text
        SubElement(attribute, "default_value")
        SubElement(attribute, "values")
    size = SubElement(task, "original_size")
    SubElement(size, "width").text = str(video.width)
    SubElement(size, "height").text = str(video.height)
    SubElement(task, "source").text = video.file_name


def _write_track(root: Element, number: int, tube: Tube, video: LabelledVideo, label: str) -> None:
    track = SubElement(root, "track", id=str(number), label=label, source="manual")
    masks = tube.masks or [None] * len(tube.frames)
    frames = tube.frames.tolist()
    for row, (frame, box) in enumerate(zip(frames, tube.boxes.tolist(), strict=True)):
        shape = _write_shape(track, frame, box, masks[row], video)
        last = row + 1 == len(frames)
        # Behind the video's end nothing is held, so nothing need be ended.
        if frame + 1 < video.num_frames if last else frames[row + 1] > frame + 1:
            gone = SubElement(track, shape.tag, {**shape.attrib, "frame": str(frame + 1), "outside": "1"})
            _name(gone, tube.tube_id)
        _name(shape, tube.tube_id)


def _write_shape(track: Element, frame: int, box: list[float], mask: str | None, video: LabelledVideo) -> Element:
    always = {"frame": str(frame), "outside": "0", "occluded": "0", "keyframe": "1"}
    if mask is not None:
        pixels = decode_mask(mask, video.height, video.width)
        if box_of_mask(pixels) == tuple(box):
            x1, y1, x2, y2 = (int(edge) for edge in box)
            crop = pixels[y1:y2, x1:x2]
            place = {"left": str(x1), "top": str(y1), "width": str(x2 - x1), "height": str(y2 - y1)}
            return SubElement(track, "mask", {**always, "rle": _runs(crop), **place, "z_order": "0"})
    edges = dict(zip(("xtl", "ytl", "xbr", "ybr"), (repr(float(edge)) for edge in box), strict=True))
    return SubElement(track, "box", {**always, **edges, "z_order": "0"})


def _runs(crop: np.ndarray) -> str:
    """Row-major run lengths, the first of background."""
    flat = np.concatenate([[False], crop.ravel()])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    return ", ".join(str(run) for run in np.diff([0, *changes.tolist(), crop.size]).tolist())


def _name(shape: Element, tube_id: str) -> None:
    SubElement(shape, "attribute", name="tube_id").text = tube_id
