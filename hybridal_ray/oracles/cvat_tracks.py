"""Requests and answers as tracks of whole videos, for those who would rather annotate tubes than frames in CVAT.

A video goes out with its known labels, and the proposed boxes of the asked frames, as keyframes of tracks. What comes
back answers the asked frames of the video with whatever tracks show there, interpolated as CVAT does. Of a video that
several requests asked frames of, it has to say which one it answers: an old file says nothing of new frames.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import ACTORS, NO_ACTOR
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.exports.cvat import tracks_xml
from hybridal_ray.pool.exports.exporting import LabelledVideo
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Tube, VideoLabels
from hybridal_ray.pool.formats.cvat import read_cvat_content
from hybridal_ray.pool.untrusted import inner_path, parse_xml_content
from hybridal_ray.requests.request import AskedFrame, AskedVideo, Request

KIND = "cvat"
EDGES = ("x1", "y1", "x2", "y2")
PROPOSED = "proposed "  # before the name of a tube that a detector saw: nobody says who that is
SAME_PIXELS = 0.51  # CVAT keeps two digits behind the point


def tracks_of(video_id: str) -> str:
    """Where a request keeps the tracks of a video."""
    return f"tracks/{inner_path(video_id, 'videos.parquet')}.xml"


def cvat_tracks(request: Request, video_id: str) -> bytes:
    """What is known of a video and proposed on its asked frames, as ``CVAT for video 1.1``."""
    video = request.videos[video_id]
    rows: dict[tuple[str, str], dict[int, tuple[float, float, float, float]]] = {}
    for known in video.known:
        rows.setdefault((known.actor, known.class_name), {})[known.frame] = known.box
    for frame in request.frames:
        if frame.video_id == video_id:
            for box in frame.proposed or ():
                rows.setdefault((f"{PROPOSED}{box.tube_id}", box.class_name), {})[frame.frame] = box.box
    tubes = [
        Tube(actor, request.classes.index(name), np.array(sorted(boxes)), np.array([boxes[at] for at in sorted(boxes)]))
        for (actor, name), boxes in sorted(rows.items())
    ]
    facts = {name: getattr(video, name) for name in ("video_id", "uri", "num_frames", "fps", "width", "height")}
    looked_at = np.array(video.labelled_frames, dtype=np.int64)
    labelled = LabelledVideo(**facts, split="train", tubes=tubes, looked_at=looked_at)
    return tracks_xml(labelled, request.classes, task=f"{video_id} [{request.request}]")


def read_track_answers(content: bytes, location: str, requests: Sequence[Request], *, all_seen: bool) -> Delivery:
    """The answers of a video's tracks to all frames that one request asked of it.

    Of several requests it is the one whose id is in the name of the task or of the file.

    A frame that shows just what was proposed is open until all were seen, as in `read_cvat_answers`.

    Args:
        content: The XML.
        location: Of the file, for messages.
        requests: Of the run.
        all_seen: Somebody has looked at every asked frame.

    Raises:
        UserError: The file is hostile, malformed, of a video of which nothing was asked, or does not say which of
            several requests it answers.
    """
    annotations = read_cvat_content(content, location)
    (annotated,) = annotations.videos
    request, video = _video_of(annotated, requests, location, _names(content, location))
    labels = annotated.labels(VideoFacts(video.num_frames, video.fps, video.width, video.height))
    frames = {frame.frame: frame for frame in request.frames if frame.video_id == video.video_id}
    records = []
    for number, frame in sorted(frames.items()):
        boxes = _boxes_on(number, labels, annotations.classes)
        answer = None if as_sent(boxes, frame) and not all_seen else ACTORS if boxes else NO_ACTOR
        fields = {"task": frame.task, "answer": answer, "boxes": boxes}
        records.append(AnswerRecord(f"{video.video_id}, frame {number}", fields))
    notes = [Rejected(location, "tracks", "shape", note, "boxes") for note in annotations.notes]
    return Delivery(location, KIND, records, notes)


def _video_of(
    annotated: AnnotatedVideo, requests: Sequence[Request], location: str, names: str
) -> tuple[Request, AskedVideo]:
    """The video that a file names, by its id or, where only one has that, the last part of it, and who asked for it."""
    asked = {name for request in requests for name in request.videos}
    last = PurePosixPath(annotated.video_id).name
    found = {annotated.video_id} & asked or {name for name in asked if PurePosixPath(name).name == last}
    if len(found) != 1:
        raise UserError(
            f"{location}: source: found {annotated.video_id!r}, expected a video of which this run has asked frames; "
            "the file may be of another run"
        )
    (video_id,) = found
    asking = [request for request in requests if video_id in request.videos]
    if len(asking) > 1:
        known = ", ".join(request.request for request in asking)
        asking = [request for request in asking if request.request in names]
        if len(asking) != 1:
            raise UserError(
                f"{location}: name: frames of {video_id} were asked for by {known}; expected the id of the one request "
                "that the file answers, in the name of the task or of the file"
            )
    return asking[0], asking[0].videos[video_id]


def _names(content: bytes, location: str) -> str:
    """The names of the file and of its task."""
    root = parse_xml_content(content, location)
    return " ".join([PurePosixPath(location).name, *(name.text or "" for name in root.findall("meta/task/name"))])


def _boxes_on(frame: int, labels: VideoLabels, classes: Sequence[str]) -> list[dict[str, Any]]:
    """The boxes of a frame, with their actors where a person has named them.

    The number of a track says nothing outside of its file: in the next export it may be another actor's.
    """
    boxes = []
    for tube in labels.tubes:
        named = {} if tube.actor is None or tube.actor.startswith(PROPOSED) else {"actor": tube.actor}
        for place in np.flatnonzero(tube.frames == frame).tolist():
            edges = dict(zip(EDGES, tube.boxes[place].tolist(), strict=True))
            boxes.append({"class": classes[tube.class_id], **edges, **named})
    return boxes


def as_sent(boxes: Sequence[dict[str, Any]], frame: AskedFrame) -> bool:
    """Whether a frame shows just the proposed boxes, or nothing where none was proposed.

    Args:
        boxes: As answered; edges may be no numbers at all.
        frame: As asked.
    """
    proposed = sorted((box.class_name, *box.box) for box in frame.proposed or ())
    if not all(isinstance(box[edge], float) for box in boxes for edge in EDGES):
        return False
    found = sorted((str(box["class"]), *(box[edge] for edge in EDGES)) for box in boxes)
    return len(found) == len(proposed) and all(
        one[0] == other[0] and all(abs(a - b) <= SAME_PIXELS for a, b in zip(one[1:], other[1:], strict=True))
        for one, other in zip(found, proposed, strict=True)
    )
