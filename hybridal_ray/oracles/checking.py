"""Answers are checked as they arrive: field by field, each record by itself."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.pool.ledger import CANNOT_TELL, PREANNOTATIONS
from hybridal_ray.pool.tables import Pool
from hybridal_ray.registry import nearest
from hybridal_ray.requests.request import AskedFrame, Request

ACTORS, NO_ACTOR = "actors", "no actor"
ANSWERS = (ACTORS, NO_ACTOR, CANNOT_TELL)
EDGES = ("x1", "y1", "x2", "y2")
TOLERANCE = 1.0  # pixels that a tool's rounding may reach over the edge of the picture
MOST_SECONDS = 86400.0
AHEAD = timedelta(days=1)  # that a clock may be: a date of next year would stand against all later answers
LONGEST_NAME = 200
HALF_A_CHARACTER = re.compile("[\ud800-\udfff]")  # of a pair of surrogates


@dataclass(frozen=True)
class AnsweredBox:
    """An actor as somebody drew it.

    Attributes:
        class_id: What it does.
        box: (x1, y1, x2, y2) in pixels, inside the picture.
        actor: Its name, where the answer gives one.
    """

    class_id: int
    box: tuple[float, float, float, float]
    actor: str | None


@dataclass(frozen=True)
class Answer:
    """An answer that can be taken.

    Attributes:
        record: Which of its delivery.
        request: That asked for the frame; None where none did.
        asked: The task of that request; None where none did.
        video_id: Of the pool.
        frame: Of the video.
        cannot_tell: Whether that is the answer.
        boxes: The actors; none where nobody acts.
        annotator: Who, where it is known.
        answered_at: When, where it is known.
        seconds: It took, where it is known.
        preannotation: What became of the proposed boxes, where the record tells.
    """

    record: str
    request: Request | None
    asked: AskedFrame | None
    video_id: str
    frame: int
    cannot_tell: bool
    boxes: tuple[AnsweredBox, ...]
    annotator: str | None
    answered_at: datetime | None
    seconds: float | None
    preannotation: str | None


class _Wrong(Exception):
    """A field that cannot be taken."""

    def __init__(self, field: str, found: Any, expected: str) -> None:
        super().__init__(field, found, expected)
        self.field, self.found, self.expected = field, found, expected


class Checker:
    """Checks answers against the requests of a run and the videos of its pool.

    Args:
        requests: All requests of the run.
        pool: Its pool.
    """

    def __init__(self, requests: Sequence[Request], pool: Pool) -> None:
        self._requests = {request.request: request for request in requests}
        self._tasks = {task: (request, frame) for request in requests for task, frame in request.by_task().items()}
        # Of two requests for one frame the later one is what is being answered.
        self._places = {
            (frame.video_id, frame.frame): (request, frame) for request in requests for frame in request.frames
        }
        self._classes = {name: number for number, name in enumerate(pool.classes)}
        videos = pool.videos.to_pylist()
        self._videos = {row["video_id"]: row for row in videos if row["status"] == "ok"}
        self._lost = {row["video_id"]: row["status"] for row in videos if row["status"] != "ok"}

    def check(self, delivery: Delivery) -> tuple[list[Answer], list[Rejected], int]:
        """The answers of a delivery, what cannot be taken of it, and how many tasks are left open in it."""
        answers: list[Answer] = []
        rejected = list(delivery.unreadable)
        still_open = 0
        for record in delivery.records:
            if "answer" in record.fields and record.fields["answer"] is None:
                still_open += 1
                continue
            try:
                answers.append(self._answer(record))
            except _Wrong as wrong:
                found = "nothing" if wrong.found is None else repr(wrong.found)[:LONGEST_NAME]
                content = dict(record.fields)
                rejected.append(
                    Rejected(delivery.source, record.record, wrong.field, found, wrong.expected, content=content)
                )
        return answers, rejected, still_open

    def _answer(self, record: AnswerRecord) -> Answer:
        fields = record.fields
        request, asked, video_id, frame = self._place(fields)
        video = self._video(video_id)
        boxes = self._boxes(fields.get("boxes"), video["width"], video["height"])
        answer = _one_of(fields, "answer", ANSWERS)
        if answer is None:
            if boxes is None:
                raise _Wrong("answer", None, f"one of {', '.join(ANSWERS)}, or boxes")
            answer = ACTORS if boxes else NO_ACTOR
        if answer == ACTORS and not boxes:
            raise _Wrong("boxes", "none", f"at least one box beside the answer {ACTORS!r}")
        if answer == NO_ACTOR and boxes:
            raise _Wrong("boxes", f"{len(boxes)} boxes", f"no box beside the answer {NO_ACTOR!r}")
        cannot_tell = answer == CANNOT_TELL
        return Answer(
            record=record.record,
            request=request,
            asked=asked,
            video_id=video_id,
            frame=frame,
            cannot_tell=cannot_tell,
            boxes=() if cannot_tell else tuple(boxes or ()),
            annotator=_annotator(fields, asked),
            answered_at=_moment(fields),
            seconds=_seconds(fields),
            preannotation=_one_of(fields, "preannotation", PREANNOTATIONS),
        )

    def _place(self, fields: Mapping[str, Any]) -> tuple[Request | None, AskedFrame | None, str, int]:
        """Which frame is answered: by the name of the task, or by video and frame."""
        named = fields.get("request")
        if named is not None and (not isinstance(named, str) or named not in self._requests):
            raise _Wrong("request", named, self._of_this_run())
        task = fields.get("task")
        if task is not None:
            if not isinstance(task, str) or task not in self._tasks:
                own = isinstance(task, str) and task.rpartition("-")[0] in self._requests
                raise _Wrong("task", task, "a task of its request" if own else self._of_this_run())
            request, asked = self._tasks[task]
            for field, value in (("video_id", asked.video_id), ("frame", asked.frame)):
                if fields.get(field) not in (None, value):
                    raise _Wrong(field, fields[field], f"{value!r}, as the task {task} is")
            return request, asked, asked.video_id, asked.frame
        video_id, frame = fields.get("video_id"), fields.get("frame")
        video = self._video(video_id)
        if video["split"] != "train":
            raise _Wrong("video_id", video_id, f"a video of the split train, this is of {video['split']}")
        if not _is_whole(frame) or not 0 <= int(frame) < video["num_frames"]:
            raise _Wrong("frame", frame, f"a frame of {video_id}, 0 to {video['num_frames'] - 1}")
        place = (str(video_id), int(frame))
        return *self._places.get(place, (None, None)), *place

    def _video(self, video_id: Any) -> Mapping[str, Any]:
        """The row of a video; one that was asked of may be missing by now."""
        video = self._videos.get(video_id) if isinstance(video_id, str) else None
        if video is None:
            hint = nearest(video_id, self._videos) if isinstance(video_id, str) else ""
            if isinstance(video_id, str) and video_id in self._lost:
                hint = f"; it is {self._lost[video_id]} now"
            raise _Wrong("video_id", video_id, f"a video of the pool that decodes{hint}")
        return video

    def _of_this_run(self) -> str:
        known = ", ".join(self._requests) or "none was made yet"
        return f"a request of this run ({known}); the file may be of another run"

    def _boxes(self, boxes: Any, width: int, height: int) -> list[AnsweredBox] | None:
        if boxes is None:
            return None
        if not isinstance(boxes, list):
            raise _Wrong("boxes", boxes, "a list of boxes")
        answered = [self._box(box, f"boxes[{number}]", width, height) for number, box in enumerate(boxes)]
        named = [(box.actor, box.class_id) for box in answered if box.actor is not None]
        if len(set(named)) < len(named):
            raise _Wrong("boxes", "two boxes of one actor and class", "one box for each actor and class")
        return answered

    def _box(self, box: Any, where: str, width: int, height: int) -> AnsweredBox:
        if not isinstance(box, Mapping):
            raise _Wrong(where, box, "a box with class, x1, y1, x2 and y2")
        name = box.get("class")
        if not isinstance(name, str) or name not in self._classes:
            hint = nearest(name, self._classes) if isinstance(name, str) else ""
            raise _Wrong(f"{where}.class", name, f"one of {', '.join(self._classes)}{hint}")
        edges = []
        for edge, size in zip(EDGES, (width, height, width, height), strict=True):
            value = box.get(edge)
            if not is_number(value) or not -TOLERANCE <= float(value) <= size + TOLERANCE:
                raise _Wrong(f"{where}.{edge}", value, f"a number of pixels, 0 to {size}")
            edges.append(min(max(float(value), 0.0), float(size)))
        x1, y1, x2, y2 = edges
        if x2 - x1 < 1e-3 or y2 - y1 < 1e-3:
            raise _Wrong(where, edges, "x1 below x2 and y1 below y2")
        return AnsweredBox(self._classes[name], (x1, y1, x2, y2), _name(box, "actor", f"{where}.actor"))


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value is a finite number, and no truth value."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # of more than 308 digits
        return False


def _is_whole(value: Any) -> TypeGuard[int | float]:
    return is_number(value) and float(value).is_integer() and abs(value) < 1 << 31


def _one_of(fields: Mapping[str, Any], field: str, allowed: Sequence[str]) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or value not in allowed:
        raise _Wrong(field, value, f"one of {', '.join(allowed)}")
    return value


def _name(fields: Mapping[str, Any], field: str, where: str | None = None) -> str | None:
    value = fields.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME or "\0" in value:
        raise _Wrong(where or field, value, f"a name of 1 to {LONGEST_NAME} characters")
    if HALF_A_CHARACTER.search(value):  # which JSON can hold, and no table
        raise _Wrong(where or field, value, "a name of whole characters, as UTF-8 has them")
    return value.strip()


def _annotator(fields: Mapping[str, Any], asked: AskedFrame | None) -> str | None:
    name = _name(fields, "annotator")
    if name is None and asked is not None and asked.answers_wanted > 1:
        # Two answers without a name could as well be one person's, so that the frame would never be done.
        raise _Wrong("annotator", None, "a name: two people answer this frame (or --annotator)")
    return name


def _seconds(fields: Mapping[str, Any]) -> float | None:
    value = fields.get("seconds")
    if value is None:
        return None
    if not is_number(value) or not 0 <= value <= MOST_SECONDS:
        raise _Wrong("seconds", value, f"seconds taken, 0 to {MOST_SECONDS:.0f}")
    return float(value)


def _moment(fields: Mapping[str, Any]) -> datetime | None:
    value = fields.get("answered_at")
    if value is None:
        return None
    expected = "a date and time such as 2026-01-31T14:05:00Z"
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        moment = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise _Wrong("answered_at", value, expected) from error
    if moment > datetime.now(UTC) + AHEAD:
        raise _Wrong("answered_at", value, "a date and time that is not more than a day ahead")
    # The ledger counts milliseconds.
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
