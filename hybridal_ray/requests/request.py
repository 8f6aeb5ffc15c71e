"""A request: the frames of one purchase as people are asked for them, in a directory that any tool can read.

``request.json`` is written last: a request whose description is there is whole. Its fields are those of the classes
below; ``images/`` holds a PNG of each frame in the video's own size, ``clips/`` a few seconds of video around it.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

FORMAT_VERSION = 1
DESCRIPTION = "request.json"


@dataclass(frozen=True)
class ProposedBox:
    """What the detector of the round says of an actor; a person accepts, moves or discards it.

    Attributes:
        class_name: What the actor seems to do.
        box: (x1, y1, x2, y2) in pixels of the picture, x2 and y2 exclusive.
        score: In [0, 1].
        tube_id: Which tube of the detector's in this video.
    """

    class_name: str
    box: tuple[float, float, float, float]
    score: float
    tube_id: str


@dataclass(frozen=True)
class KnownBox:
    """An actor that is labelled on another frame of the video.

    Attributes:
        frame: Of the video.
        actor: Which actor; the same on all its frames.
        class_name: What it does.
        box: (x1, y1, x2, y2) in pixels of the picture.
    """

    frame: int
    actor: str
    class_name: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class AskedVideo:
    """A video of which frames are asked for.

    Attributes:
        video_id: Of the pool.
        uri: Where the file lies.
        num_frames: Decoded frames.
        fps: 0.0 where the video states none.
        width: Pixels.
        height: Pixels.
        labelled_frames: Frames of it that are labelled already, ascending.
        known: The actors on them.
    """

    video_id: str
    uri: str
    num_frames: int
    fps: float
    width: int
    height: int
    labelled_frames: tuple[int, ...]
    known: tuple[KnownBox, ...]


@dataclass(frozen=True)
class AskedFrame:
    """One task: a frame to look at.

    Attributes:
        task: Name of the task, unique over all requests: ``<request>-<rank>``.
        video_id: Of the pool.
        frame: Index in decode order, 0 first.
        seconds: Where that is in the video; None where the video states no frame rate.
        image: The frame as PNG, relative to the directory of the request.
        clip: The frame's surroundings as MP4, relative too.
        clip_start: The video frame that the clip begins with.
        answers_wanted: By how many different annotators.
        why: Why it was picked: ``rank``, ``cluster``, ``quota``, ``uncertainty``, ``proximity_penalty``,
            ``video_score``; None where the strategy knows none.
        proposed: The detector's own boxes; None where there is no detector yet.
    """

    task: str
    video_id: str
    frame: int
    seconds: float | None
    image: str
    clip: str
    clip_start: int
    answers_wanted: int
    why: Mapping[str, float | int | None]
    proposed: tuple[ProposedBox, ...] | None


@dataclass(frozen=True)
class Request:
    """A purchase as people are asked for it.

    Attributes:
        request: Its id, the same however often it is written; no other request of any run has it.
        run: The run directory.
        for_round: The round from whose training on the labels are used.
        classes: What can be answered, in the order of the pool's class ids.
        videos: By id.
        frames: In the order of purchase.
        left_out: Frames that were picked and are not asked for: ``video_id``, ``frame`` and the ``reason``.
        directory: Where it lies, path or URI.
        run_identity: Of the run, wherever its directory is moved; the same for all its requests.
    """

    request: str
    run: str
    for_round: int
    classes: tuple[str, ...]
    videos: Mapping[str, AskedVideo]
    frames: tuple[AskedFrame, ...]
    left_out: tuple[Mapping[str, str | int], ...]
    directory: str
    run_identity: str

    def by_task(self) -> dict[str, AskedFrame]:
        """The frames by the name of their task."""
        return {frame.task: frame for frame in self.frames}


def request_id(run_identity: str, for_round: int) -> str:
    """The id of a purchase of a run: 12 hexadecimal digits (BLAKE2b)."""
    return hashlib.blake2b(f"{run_identity} {for_round}".encode(), digest_size=6).hexdigest()


def task_name(request: str, rank: int) -> str:
    """The name of a task: ``<request>-<rank>``, safe as the name of a file."""
    return f"{request}-{rank:05d}"


def request_exists(directory: str) -> bool:
    """Whether a request has been written whole."""
    return storage.exists(storage.join(directory, DESCRIPTION))


def write_description(request: Request) -> None:
    """Writes ``request.json``, after everything else of the request."""
    tree = {"format": "hybridal-request", "format_version": FORMAT_VERSION, **asdict(request)}
    del tree["directory"]
    storage.write_bytes(storage.join(request.directory, DESCRIPTION), (json.dumps(tree, indent=1) + "\n").encode())


def read_request(directory: str) -> Request:
    """Reads a request back.

    Raises:
        UserError: There is none, or its description was changed into something else.
    """
    location = storage.join(directory, DESCRIPTION)
    tree = storage.read_json(location)
    try:
        version = tree.get("format_version")
        if version != FORMAT_VERSION:
            raise UserError(f"{location}: format_version is {version!r}, expected {FORMAT_VERSION}")
        return Request(
            request=tree["request"],
            run=tree["run"],
            for_round=tree["for_round"],
            classes=tuple(tree["classes"]),
            videos={name: _video(video) for name, video in tree["videos"].items()},
            frames=tuple(_frame(frame) for frame in tree["frames"]),
            left_out=tuple(tree["left_out"]),
            directory=directory,
            run_identity=tree["run_identity"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{location}: not the description of a request: {type(error).__name__}: {error}") from error


def _video(tree: dict[str, Any]) -> AskedVideo:
    known = tuple(KnownBox(**{**box, "box": tuple(box["box"])}) for box in tree["known"])
    return AskedVideo(**{**tree, "labelled_frames": tuple(tree["labelled_frames"]), "known": known})


def _frame(tree: dict[str, Any]) -> AskedFrame:
    proposed = tree["proposed"]
    if proposed is not None:
        proposed = tuple(ProposedBox(**{**box, "box": tuple(box["box"])}) for box in proposed)
    return AskedFrame(**{**tree, "proposed": proposed})
