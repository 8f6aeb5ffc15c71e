"""Requests for CVAT, by files: a data set of images with the detector's boxes, and CVAT's own XML back."""

import io
import json
import shlex
import zipfile
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cvat_answers import EDGES, INNER_FILE, TAGS
from hybridal_ray.oracles.cvat_tracks import cvat_tracks, tracks_of
from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import AskedFrame, Request

ARCHIVE, LABELS = "cvat.zip", "cvat_labels.json"


class CvatFileOracle:
    """Asks by a data set that CVAT imports; answers come with ``hybridal labels import``."""

    def send(self, request: Request) -> str:
        """See `WaitingOracle.send`.

        Raises:
            UserError: A class of the pool has the name of an answer.
        """
        check_classes(request)
        archive, labels_file = (storage.join(request.directory, name) for name in (ARCHIVE, LABELS))
        if not storage.exists(archive):
            labels = json.dumps(cvat_labels(request), indent=1).encode()
            storage.write_bytes(labels_file, labels + b"\n")
            for video_id in request.videos:
                storage.write_bytes(
                    storage.join(request.directory, tracks_of(video_id)), cvat_tracks(request, video_id)
                )
            storage.write_bytes(archive, cvat_archive(request))
        return (
            f"make a project in CVAT with the labels of {labels_file} (Raw), import the data set {archive} there as "
            f"'CVAT 1.1', annotate, export the task as 'CVAT for images 1.1', and bring it back "
            f"with `hybridal labels import {shlex.quote(request.run)} FILE --annotator NAME`; "
            f"clips are in {storage.join(request.directory, 'clips')}"
        )

    def fetch(self, request: Request) -> Delivery | None:
        """See `WaitingOracle.fetch`: answers come in files."""
        return None


def check_classes(request: Request) -> None:
    """Checks that no class can be mistaken for another answer.

    Raises:
        UserError: A class of the pool has the name of an answer.
    """
    if clash := set(TAGS) & set(request.classes):
        raise UserError(f"pool.json: classes: {clash.pop()!r} is the name of an answer; rename the class")


def cvat_labels(request: Request) -> list[dict[str, Any]]:
    """The labels of a project, as CVAT's *Raw* constructor takes them: classes as boxes, other answers as tags."""
    actor = {"name": "actor", "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
    boxes = [{"name": name, "type": "rectangle", "attributes": [actor]} for name in request.classes]
    return [*boxes, *({"name": name, "type": "tag", "attributes": []} for name in TAGS)]


def cvat_archive(request: Request) -> bytes:
    """The images and their proposed boxes as a zip in the format ``CVAT 1.1``; equal requests give equal bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        archive.writestr(zipfile.ZipInfo(INNER_FILE), cvat_xml(request))
        for frame in request.frames:
            image = storage.read_bytes(storage.join(request.directory, frame.image))
            archive.writestr(zipfile.ZipInfo(frame.image), image)
    return file.getvalue()


def cvat_xml(request: Request) -> bytes:
    """The proposed boxes as ``CVAT for images 1.1``."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    for name, value in (("name", request.request), ("size", len(request.frames)), ("mode", "annotation")):
        SubElement(task, name).text = str(value)
    labels = SubElement(task, "labels")
    for described in cvat_labels(request):
        label = SubElement(labels, "label")
        SubElement(label, "name").text = described["name"]
        SubElement(label, "type").text = described["type"]
        attributes = SubElement(label, "attributes")
        for attribute in described["attributes"]:
            part = SubElement(attributes, "attribute")
            for name in ("name", "mutable", "input_type", "default_value"):
                SubElement(part, name).text = str(attribute[name])
            SubElement(part, "values")
    for number, frame in enumerate(request.frames):
        _write_image(root, number, frame, request)
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _write_image(root: Element, number: int, frame: AskedFrame, request: Request) -> None:
    video = request.videos[frame.video_id]
    size = {"width": str(video.width), "height": str(video.height)}
    image = SubElement(root, "image", {"id": str(number), "name": frame.image.removeprefix("images/"), **size})
    for box in frame.proposed or ():
        edges = {name: f"{edge:.2f}" for name, edge in zip(EDGES.values(), box.box, strict=True)}
        shape = {"label": box.class_name, "source": "auto", "occluded": "0", **edges, "z_order": "0"}
        SubElement(SubElement(image, "box", shape), "attribute", name="actor")
