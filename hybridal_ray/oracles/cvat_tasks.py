"""What an annotator sees in CVAT: a project of the run, a task for each video of a request, the guide to them."""

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from hybridal_ray.oracles.checking import NO_ACTOR
from hybridal_ray.oracles.told import known_of, place_of, why_picked
from hybridal_ray.pool import storage
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoding import iter_frames
from hybridal_ray.pool.ledger import CANNOT_TELL
from hybridal_ray.requests.pictures import encode_png
from hybridal_ray.requests.request import AskedFrame, Request

LONGEST_NAME = 256  # of a project or a task
UNFINISHED = "being sent, do not open: "  # before the name of a task that is not whole yet
CONTEXT = 8  # pictures of a clip that are shown beside a frame
INSTRUCTION = (
    "Draw a rectangle around everybody who acts on the image, and name what they do. The context images beside it show "
    "what happens around this moment; they are of the clip whose name the table below tells. Rectangles that are "
    "there already are the detector's: keep, move, or delete them. Where nobody acts, delete them, and add the tag "
    f"'{NO_ACTOR}' or nothing; where it cannot be told, add the tag '{CANNOT_TELL}'. When all images of the job are "
    "done, set its state to *completed*: nothing of it is taken before."
)


@dataclass(frozen=True)
class PlannedTask:
    """A task as it shall be on the server.

    Attributes:
        key: By which it is known again; part of its name.
        video_id: Of the pool.
        frames: Asked for, in the order of the video.
    """

    key: str
    video_id: str
    frames: tuple[AskedFrame, ...]

    @property
    def name(self) -> str:
        """What it is called when it is whole."""
        end = f" [{self.key}]"
        return f"{self.video_id[-(LONGEST_NAME - len(UNFINISHED) - len(end)) :]}{end}"


def planned_tasks(request: Request) -> list[PlannedTask]:
    """A task for each video, and one more for each further annotator that frames of it want.

    Two annotators of one frame need a job each; who works on the second task sees nothing of the first.
    """
    planned = []
    for number, video_id in enumerate(sorted(request.videos)):
        own = sorted((frame for frame in request.frames if frame.video_id == video_id), key=lambda frame: frame.frame)
        for turn in range(1, max((frame.answers_wanted for frame in own), default=0) + 1):
            frames = tuple(frame for frame in own if frame.answers_wanted >= turn)
            planned.append(PlannedTask(f"{request.request}-video-{number:03d}-{turn}", video_id, frames))
    return planned


def project_mark(request: Request) -> str:
    """The part of a project's name by which the project of a run is known again."""
    return f"[hybridal {request.run_identity}]"


def project_name(request: Request) -> str:
    """The name of the run's directory, and the mark."""
    mark = project_mark(request)
    return f"{request.run.rstrip('/').rpartition('/')[2][: LONGEST_NAME - len(mark) - 1]} {mark}"


def image_name(frame: AskedFrame) -> str:
    """The name of a frame's image in a task; names sort as the frames do."""
    return f"{frame.frame:07d}_{frame.task}.png"


def task_of_image(name: str) -> str:
    """The task, one of ours, whose image CVAT calls so."""
    return PurePosixPath(name.replace("\\", "/")).stem.rpartition("_")[2]


def image_archive(planned: PlannedTask, request: Request) -> bytes:
    """The images of a task as a zip, each with pictures of its clip as CVAT's context images.

    CVAT shows no film beside an image; it shows what lies in ``related_images/<name of the image>``.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for frame in planned.frames:
            name = image_name(frame)
            image = storage.read_bytes(storage.join(request.directory, frame.image))
            archive.writestr(zipfile.ZipInfo(name), image)
            folder = f"related_images/{name.replace('.', '_')}"
            for number, picture in _of_clip(storage.join(request.directory, frame.clip)):
                shown = f"{folder}/frame_{frame.clip_start + number:07d}.png"
                archive.writestr(zipfile.ZipInfo(shown), picture)
    return file.getvalue()


def shapes_of(
    planned: PlannedTask, places: Mapping[str, int], labels: Mapping[str, int], actor: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The proposed boxes of a task as shapes that a program has drawn.

    Args:
        planned: The task.
        places: Of our tasks' images in that of the server.
        labels: The labels' ids by their names.
        actor: The ids of the attribute ``actor`` by the names of the labels that have it.
    """
    return [
        {
            "type": "rectangle",
            "label_id": labels[box.class_name],
            "frame": places[frame.task],
            "points": [float(edge) for edge in box.box],
            "rotation": 0.0,
            "occluded": False,
            "outside": False,
            "z_order": 0,
            "group": 0,
            "source": "auto",
            "attributes": [{"spec_id": actor[box.class_name], "value": ""}] if box.class_name in actor else [],
        }
        for frame in planned.frames
        for box in frame.proposed or ()
    ]


def guide_of(request: Request) -> str:
    """How to answer, and what there is to tell of each frame of a request, as Markdown."""
    rows = [
        f"| `{image_name(frame)}` | {' | '.join(map(_cell, _told(frame, request)))} |"
        for planned in planned_tasks(request)
        if planned.key.endswith("-1")
        for frame in planned.frames
    ]
    head = "| image | frame | why | known of the video | clip |\n| --- | --- | --- | --- | --- |"
    return "\n".join([INSTRUCTION, "", f"## Request {request.request}", "", head, *rows, ""])


def _told(frame: AskedFrame, request: Request) -> tuple[str, ...]:
    video = request.videos[frame.video_id]
    return place_of(frame, video), why_picked(frame.why), known_of(video, frame.frame), frame.clip


def _cell(text: str) -> str:
    """A text in a table of Markdown; names come from outside."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def _of_clip(location: str) -> Iterator[tuple[int, bytes]]:
    """Some pictures of a clip, evenly spread over it, each with its place; none of a clip that does not decode."""
    try:
        count = sum(1 for _ in iter_frames(location))
        step = max(1, -(-count // CONTEXT))
        for number, picture in islice(enumerate(iter_frames(location)), 0, None, step):
            yield number, encode_png(picture)
    except UnreadableVideo:
        return
