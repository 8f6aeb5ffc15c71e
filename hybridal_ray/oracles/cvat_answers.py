"""Answers out of CVAT: the XML of ``CVAT for images 1.1``, alone or in the zip that CVAT exports.

That of ``CVAT for video 1.1``, with tracks instead of images, goes to `hybridal_ray.oracles.cvat_tracks`.

An image says which task it is by its name. Boxes are the actors; the tags ``no actor`` and ``cannot tell`` are the
other answers. CVAT does not tell who looked at an image and left it as it was, so an image without anything, or with
nothing but the proposed boxes in their places, is open until somebody says that all images were seen.
"""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import ACTORS, NO_ACTOR
from hybridal_ray.oracles.cvat_tasks import task_of_image
from hybridal_ray.oracles.cvat_tracks import KIND, as_sent, read_track_answers
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.ledger import CANNOT_TELL
from hybridal_ray.pool.untrusted import MAX_BYTES, read_bounded
from hybridal_ray.requests.request import AskedFrame, Request

TAGS = (NO_ACTOR, CANNOT_TELL)
INNER_FILE = "annotations.xml"
EDGES = {"x1": "xtl", "y1": "ytl", "x2": "xbr", "y2": "ybr"}
ZIP_BEGINS = b"PK\x03\x04"
OF_A_VIDEO = re.compile(rb"<track\b|<mode>\s*interpolation|<source>\s*[^<\s]")  # also where nobody acts in it
OTHER_SHAPES = ("polygon", "polyline", "points", "ellipse", "cuboid", "mask", "skeleton")


def read_cvat_answers(location: str, requests: Sequence[Request], *, all_seen: bool = False) -> Delivery:
    """Reads the XML file, or the zip that holds it.

    Of a file that is damaged, the images before the damage are read, and the rest is told as unreadable.

    Args:
        location: ``.xml`` or ``.zip``.
        requests: Of the run, for what was proposed and how large the pictures are.
        all_seen: Somebody has looked at every image of the file: what is empty is an answer, and what was not touched.

    Raises:
        UserError: There is no such file, it is no such zip, hostile, or not of CVAT.
    """
    content = _content(location)
    if b"<image" not in content and OF_A_VIDEO.search(content):
        return read_track_answers(content, location, requests, all_seen=all_seen)
    asked = {
        task: (frame, request.videos[frame.video_id].width, request.videos[frame.video_id].height)
        for request in requests
        for task, frame in request.by_task().items()
    }
    images, damage = _images(content, location)
    records: list[AnswerRecord] = []
    unreadable: list[Rejected] = []
    for number, image in enumerate(images):
        name = image.get("name")
        record = f"image {number} {name!r}"
        shapes = [shape.tag for shape in image if shape.tag in OTHER_SHAPES]
        if shapes:
            found = f"a {shapes[0]}"
            unreadable.append(Rejected(location, record, shapes[0], found, "boxes and tags only", _as_text(image)))
            continue
        task = PurePosixPath((name or "").replace("\\", "/")).stem
        if task not in asked and task_of_image(task) in asked:  # of a task that `CvatOracle` made
            task = task_of_image(task)
        fields = _fields(image, task, *asked.get(task, (None, 0, 0)))
        if all_seen and fields["answer"] is None:
            fields["answer"] = ACTORS if fields["boxes"] else NO_ACTOR
        records.append(AnswerRecord(record, fields))
    return Delivery(location, KIND, records, [*unreadable, *damage])


def _content(location: str) -> bytes:
    content = read_bounded(location)
    # One that is cut off has lost its directory, which is at the end, and still begins as one.
    if not zipfile.is_zipfile(io.BytesIO(content)) and not content.startswith(ZIP_BEGINS):
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if PurePosixPath(name).name == INNER_FILE]
            if len(names) != 1:
                raise UserError(f"{location}: holds {len(names)} files {INNER_FILE}, expected one, as CVAT exports it")
            if (size := archive.getinfo(names[0]).file_size) > MAX_BYTES:
                raise UserError(f"{location}: {names[0]}: {size} bytes, expected at most {MAX_BYTES}")
            return archive.read(names[0])
    except (zipfile.BadZipFile, OSError, RuntimeError, NotImplementedError, ValueError, EOFError) as error:
        raise UserError(f"{location}: not a readable zip: {error}") from error
    except Exception as error:
        if type(error).__module__ in ("zlib", "lzma", "_lzma"):  # a damaged stream inside a sound directory
            raise UserError(f"{location}: not a readable zip: {error}") from error
        raise


def _images(content: bytes, location: str) -> tuple[list[Element], list[Rejected]]:
    """The images as far as the XML is whole, and what is to be told of the rest."""
    images: list[Element] = []
    try:
        for root in _elements(content):
            images.append(root)
    except DefusedXmlException as error:
        raise UserError(f"{location}: refused, it declares entities or a document type: {error!r}") from error
    except (ParseError, ValueError, LookupError) as error:
        if not images:
            raise UserError(f"{location}: not valid XML of CVAT: {error}") from error
        expected = f"the rest of a valid XML file ({error})"
        return images, [Rejected(location, f"image {len(images)}", "file", "damage", expected)]
    if not images:
        raise UserError(f"{location}: holds no <image>; export the task as CVAT for images 1.1")
    return images, []


def _elements(content: bytes) -> Iterator[Element]:
    for _, element in SafeTree.iterparse(io.BytesIO(content), events=("end",), forbid_dtd=True):
        if element.tag == "image":
            yield element


def _fields(image: Element, task: str, asked: AskedFrame | None, width: int, height: int) -> dict[str, Any]:
    """The fields of an answer, numbers as far as they are some: what they are worth is checked later."""
    scale_x, scale_y = _scale(image.get("width"), width), _scale(image.get("height"), height)
    boxes = [_box(box, scale_x, scale_y) for box in image.findall("box")]
    fields: dict[str, Any] = {"task": task, "boxes": boxes}
    tags = [tag.get("label") for tag in image.findall("tag")]
    if tags:
        fields["answer"] = tags[0] if len(tags) == 1 else " and ".join(map(str, tags))
        if tags == [CANNOT_TELL]:
            fields["boxes"] = []
    elif asked is None:
        fields["answer"] = ACTORS if boxes else NO_ACTOR
    else:
        fields["answer"] = None if as_sent(boxes, asked) else ACTORS if boxes else NO_ACTOR
    return fields


def _box(box: Element, scale_x: float, scale_y: float) -> dict[str, Any]:
    found: dict[str, Any] = {"class": box.get("label")}
    try:
        x1, y1, x2, y2 = (float(box.attrib[name]) for name in EDGES.values())
        if angle := float(box.get("rotation", "0")):
            x1, y1, x2, y2 = around(x1, y1, x2 - x1, y2 - y1, angle, about_centre=True)
        found |= {"x1": x1 * scale_x, "y1": y1 * scale_y, "x2": x2 * scale_x, "y2": y2 * scale_y}
    except (KeyError, ValueError):
        found |= {edge: _number(box.get(name)) for edge, name in EDGES.items()}
    actor = [part.text for part in box.findall("attribute") if part.get("name") == "actor" and part.text]
    return found | ({"actor": actor[0]} if actor else {})


def _number(text: str | None) -> float | str | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return text


def _scale(text: str | None, size: int) -> float:
    """From the pixels of the annotated picture to those of the video, where the file tells another size."""
    found = _number(text)
    return size / found if isinstance(found, float) and 0 < found < 1e6 and size > 0 else 1.0


def _as_text(element: Element) -> str:
    return str(SafeTree.tostring(element, encoding="unicode"))
