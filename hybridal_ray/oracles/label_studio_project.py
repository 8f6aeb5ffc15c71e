"""What an annotator sees in Label Studio: the form of a project, and the tasks that are shown in it."""

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from hybridal_ray.oracles.checking import NO_ACTOR
from hybridal_ray.oracles.told import known_of, place_of, why_picked
from hybridal_ray.pool.ledger import CANNOT_TELL
from hybridal_ray.requests.pictures import FALLBACK_FPS
from hybridal_ray.requests.request import AskedFrame, AskedVideo, ProposedBox, Request

IMAGE, BOXES, OTHER, CLIP = "image", "actors", "answer", "clip"
MODEL_VERSION = "hybridal"  # one for all rounds: the server pre-fills a task with the predictions of one version
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#ff7f0e", "#9467bd", "#17becf", "#e377c2", "#8c564b", "#bcbd22", "#7f7f7f")
LONGEST_TITLE = 50  # what the server takes
INSTRUCTION = (
    "Draw a box around everybody who acts on the image, and name what they do; the clip beside it shows what happens "
    "around this moment. Boxes that are there already are the detector's: keep, move, or delete them. Where nobody "
    f"acts, delete the boxes and choose '{NO_ACTOR}'; where it cannot be told, choose '{CANNOT_TELL}'."
)


def project_title(request: Request) -> str:
    """The name of the run's directory and the beginning of its identity, in at most 50 characters."""
    short = short_identity(request)
    name = request.run.rstrip("/").rpartition("/")[2]
    return f"{name[: LONGEST_TITLE - len(short) - 1]} {short}"


def short_identity(request: Request) -> str:
    """The part of a project's title that stays when the run's directory is moved."""
    return request.run_identity[:8]


def project_mark(request: Request) -> str:
    """What the description of a project says, by which the project of a run is known again."""
    return f"hybridal run {request.run_identity}"


def label_config(classes: tuple[str, ...]) -> str:
    """The form of a project, as XML: the image with a rectangle label for each class, beside it the clip.

    Args:
        classes: Of the pool.
    """
    view = Element("View")
    SubElement(view, "Header", value="$place", size="4")
    row = SubElement(view, "View", style="display: flex; gap: 16px; align-items: flex-start")
    left = SubElement(row, "View", style="flex: 5 1 0; min-width: 0")
    labels = SubElement(left, "RectangleLabels", name=BOXES, toName=IMAGE, canRotate="false", strokeWidth="2")
    for number, name in enumerate(classes):
        SubElement(labels, "Label", value=name, background=COLOURS[number % len(COLOURS)])
    # At full width the page forgets the room of its toolbar and hides the edges of the image.
    SubElement(left, "Image", name=IMAGE, value="$image", zoomControl="true", smoothing="true", width="90%")
    choices = SubElement(left, "Choices", name=OTHER, toName=IMAGE, choice="single-radio", showInline="true")
    for name in (NO_ACTOR, CANNOT_TELL):
        SubElement(choices, "Choice", value=name)
    right = SubElement(row, "View", style="flex: 4 1 0; min-width: 0")
    SubElement(right, "Header", value="$clip_place", size="5")
    SubElement(right, "Video", name=CLIP, value="$clip", frameRate="$fps", muted="true", height="300")
    SubElement(right, "Text", name="known", value="$known")
    SubElement(right, "Text", name="why", value="$why")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode")


def tasks_of(request: Request, address: Callable[[str], str]) -> list[dict[str, Any]]:
    """The tasks of a request: one for each frame, then one more for each further annotator that a frame wants.

    The server wants as many annotations of every task of a project, and shows one annotator nothing of another task.

    Args:
        request: What is asked.
        address: From a file of the request, relative to its directory, to where a browser finds it.
    """
    return [task_of(frame, request, address, turn) for frame, turn in _turns(request)]


def names_of(request: Request) -> list[str]:
    """The names of `tasks_of`, as `name_of` tells them."""
    return [_name(frame.task, turn) for frame, turn in _turns(request)]


def name_of(task: Mapping[str, Any]) -> str:
    """By what a task is known again on the server: ``<task>``, and ``<task>#2`` for the second annotator's."""
    return _name(str(task["data"]["task"]), task["data"].get("turn", 1))


def _name(task: str, turn: int) -> str:
    return task + (f"#{turn}" if turn > 1 else "")


def _turns(request: Request) -> list[tuple[AskedFrame, int]]:
    """Each frame with the turns of the annotators that it wants, all first ones before the second."""
    turns = range(1, max((frame.answers_wanted for frame in request.frames), default=0) + 1)
    return [(frame, turn) for turn in turns for frame in request.frames if frame.answers_wanted >= turn]


def task_of(frame: AskedFrame, request: Request, address: Callable[[str], str], turn: int = 1) -> dict[str, Any]:
    """A task as the server imports it.

    Args:
        frame: What is asked.
        request: By which request.
        address: See `tasks_of`.
        turn: For which of the annotators that the frame wants, from 1.
    """
    video = request.videos[frame.video_id]
    data = {
        "task": frame.task,
        "request": request.request,
        "video_id": frame.video_id,
        "frame": frame.frame,
        "image": address(frame.image),
        "clip": address(frame.clip),
        "fps": video.fps or FALLBACK_FPS,
        "place": place_of(frame, video),
        "clip_place": _clip_place(frame, video),
        "known": known_of(video, frame.frame),
        "why": why_picked(frame.why),
    }
    if turn > 1:
        data |= {"turn": turn, "place": f"{data['place']}, for another annotator than the first"}
    if not frame.proposed:
        return {"data": data}
    result = [_region(box, number, video) for number, box in enumerate(frame.proposed)]
    score = max(box.score for box in frame.proposed)
    return {"data": data, "predictions": [{"model_version": MODEL_VERSION, "score": score, "result": result}]}


def _region(proposed: ProposedBox, number: int, video: AskedVideo) -> dict[str, Any]:
    """A proposed box in percent of the picture."""
    x1, y1, x2, y2 = proposed.box
    across, down = 100 / video.width, 100 / video.height
    place = {"x": x1 * across, "y": y1 * down, "width": (x2 - x1) * across, "height": (y2 - y1) * down}
    return {
        "id": f"box-{number}",
        "type": "rectanglelabels",
        "from_name": BOXES,
        "to_name": IMAGE,
        "original_width": video.width,
        "original_height": video.height,
        "image_rotation": 0,
        "score": proposed.score,
        "value": {**place, "rotation": 0, "rectanglelabels": [proposed.class_name]},
    }


def _clip_place(frame: AskedFrame, video: AskedVideo) -> str:
    into = frame.frame - frame.clip_start
    return f"The clip around it: the image is its frame {into + 1}" + (
        f", {into / video.fps:.2f} s from its start" if video.fps > 0 else ""
    )
