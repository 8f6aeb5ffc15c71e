"""From answers that were checked to rows of the ledger: what is new, what is there already, what supersedes what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.optimize import linear_sum_assignment

from hybridal_ray.evaluation.boxes import iou_matrix
from hybridal_ray.oracles.actors import named_boxes
from hybridal_ray.oracles.checking import Answer, AnsweredBox, Checker
from hybridal_ray.oracles.interface import Delivery, Rejected
from hybridal_ray.pool import ledger
from hybridal_ray.pool.ledger import CANNOT_TELL, LABELS_SCHEMA, OUTDATED, SECOND_OPINION, LabelledBox
from hybridal_ray.pool.tables import Pool
from hybridal_ray.requests.request import ProposedBox, Request

SAME_BOX_IOU = 0.95  # a box that was not touched comes back within the rounding of the tool
MOVED_BOX_IOU = 0.3  # less than that is another box
BEGINNING_OF_TIME = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Arrival:
    """What became of a delivery.

    Attributes:
        source: The file, or the address of the tool.
        rows: New rows of the ledger (`LABELS_SCHEMA`).
        cannot_tell: Of them, answers that it cannot be told.
        corrections: Of them, rows that supersede an earlier one; a line each.
        second_opinions: Of them, answers of a second annotator.
        outdated: Of them, answers that are older than the one that is there.
        not_asked: Of them, answers to frames that no request asked for; a line each.
        duplicates: Answers that the ledger has already; nothing was added for them.
        superseded: Of them, those that may be meant to take a correction back; a line each.
        still_open: Tasks of the delivery that nobody has answered yet.
        rejected: What could not be taken.
        remarks: A line for everything else that a person should know of the delivery.
    """

    source: str
    rows: pa.Table
    cannot_tell: int
    corrections: tuple[str, ...]
    second_opinions: int
    outdated: int
    not_asked: tuple[str, ...]
    duplicates: int
    superseded: tuple[str, ...]
    still_open: int
    rejected: tuple[Rejected, ...]
    remarks: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The counts, and a line for everything that a person should know."""
        return {
            "source": self.source,
            "added": len(self.rows),
            "cannot_tell": self.cannot_tell,
            "second_opinions": self.second_opinions,
            "outdated": self.outdated,
            "duplicates": self.duplicates,
            "still_open": self.still_open,
            "corrections": list(self.corrections),
            "not_asked": list(self.not_asked),
            "superseded": list(self.superseded),
            "rejected": [rejected.line() for rejected in self.rejected],
            "remarks": list(self.remarks),
        }


def settle(
    delivery: Delivery, requests: Sequence[Request], pool: Pool, labels: pa.Table, open_round: int, closed: set[int]
) -> Arrival:
    """Decides what a delivery adds to the ledger; taking the same delivery again adds nothing.

    Of one annotator and frame, the answer given later counts, whatever the order of arrival. Another annotator's
    answer is a second opinion where two were wanted, and a correction where one was.

    Args:
        delivery: As it came.
        requests: All requests of the run.
        pool: Its pool.
        labels: The ledger so far.
        open_round: The first round whose labels are not closed: late answers and those not asked for count from there.
        closed: The rounds whose labels are closed.
    """
    answers, rejected, still_open = Checker(requests, pool).check(delivery)
    order = sorted(range(len(answers)), key=lambda place: answers[place].answered_at or BEGINNING_OF_TIME)
    book = _Book(labels)
    rows: list[dict[str, Any]] = []
    corrections, not_asked, superseded, duplicates = [], [], [], 0
    for answer in (answers[place] for place in order):
        where = f"{delivery.source}: {answer.record}: {answer.video_id}, frame {answer.frame}"
        if same := book.same_as(answer):
            duplicates += 1
            if answer.answered_at is None and (later := book.correction_of(same)) is not None:
                superseded.append(
                    f"{where}: was answered so before the answer of {_who(later)}, which stands; expected answered_at "
                    "where it is to stand again"
                )
            continue
        standing, former = book.standing_of(answer)
        asked_for = open_round if answer.request is None else answer.request.for_round
        row = _row(answer, delivery.kind, open_round if asked_for in closed else asked_for, standing, book)
        rows.append(row)
        if former is not None and standing is None:
            corrections.append(f"{where}: supersedes the answer of {_who(former)}")
        if answer.asked is None:
            not_asked.append(f"{where}: no request asked for it; it is kept")
        book.add(row)
    return Arrival(
        source=delivery.source,
        rows=pa.Table.from_pylist(rows, schema=LABELS_SCHEMA),
        cannot_tell=sum(row["answer"] is not None for row in rows),
        corrections=tuple(corrections),
        second_opinions=sum(row["standing"] == SECOND_OPINION for row in rows),
        outdated=sum(row["standing"] == OUTDATED for row in rows),
        not_asked=tuple(not_asked),
        duplicates=duplicates,
        superseded=tuple(superseded),
        still_open=still_open,
        rejected=tuple(rejected),
        remarks=tuple(delivery.remarks),
    )


class _Book:
    """The ledger by frame, as it grows by a delivery."""

    def __init__(self, labels: pa.Table) -> None:
        self._rows: dict[tuple[str, int], list[dict[str, Any]]] = {}
        self._known = {name: dict(frames) for name, frames in ledger.labels_by_video(labels).items()}
        for row in labels.to_pylist():
            self._rows.setdefault((row["video_id"], row["frame"]), []).append(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Takes a new row in."""
        self._rows.setdefault((row["video_id"], row["frame"]), []).append(dict(row))
        if row["standing"] is None:
            frames = self._known.setdefault(row["video_id"], {})
            frames[row["frame"]] = tuple(
                LabelledBox(box["tube_id"], box["class_id"], (box["x1"], box["y1"], box["x2"], box["y2"]), box["mask"])
                for box in row["boxes"]
            )

    def known(self, video_id: str) -> Mapping[int, Sequence[LabelledBox]]:
        """The labelled frames of a video."""
        return self._known.get(video_id, {})

    def same_as(self, answer: Answer) -> Sequence[Mapping[str, Any]]:
        """The rows that are the same answer of the same annotator, by whatever way they came."""
        same = [
            row
            for row in self._rows.get((answer.video_id, answer.frame), [])
            if _content(row) == _content_of(answer) and _given_at_once(row, answer)
        ]
        # With a date, an answer like one without that was corrected since is a new one: the correction is taken back.
        dated = [row for row in same if answer.answered_at is None or row["answered_at"] is not None]
        return dated if same and self.correction_of(same) is not None else same

    def correction_of(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
        """The row that stands in the place of those, of one frame, that counted once; None where it is one of them."""
        counting = self._counting(rows[0]["video_id"], rows[0]["frame"])
        if not counting or any(row["standing"] is not None or row is counting[-1] for row in rows):
            return None
        return counting[-1]

    def standing_of(self, answer: Answer) -> tuple[str | None, Mapping[str, Any] | None]:
        """Whether a new answer counts, and the row that it supersedes or stands behind."""
        counting = self._counting(answer.video_id, answer.frame)
        if not counting:
            return None, None
        former = counting[-1]
        own = self._of_annotator(answer)
        wanted = 1 if answer.asked is None else answer.asked.answers_wanted
        if wanted > 1 and former["annotator"] != answer.annotator:
            return SECOND_OPINION, former
        last = max((row["answered_at"] for row in own if row["answered_at"] is not None), default=None)
        if answer.answered_at is not None and last is not None and answer.answered_at < last:
            return OUTDATED, former
        return None, former

    def _counting(self, video_id: str, frame: int) -> list[dict[str, Any]]:
        return [row for row in self._rows.get((video_id, frame), []) if row["standing"] is None]

    def _of_annotator(self, answer: Answer) -> list[dict[str, Any]]:
        rows = self._rows.get((answer.video_id, answer.frame), [])
        return [row for row in rows if row["annotator"] == answer.annotator]


def _row(answer: Answer, kind: str, round_index: int, standing: str | None, book: _Book) -> dict[str, Any]:
    names = named_boxes(answer.boxes, answer.frame, book.known(answer.video_id))
    proposed = None if answer.asked is None else answer.asked.proposed
    request = answer.request
    return {
        "video_id": answer.video_id,
        "frame": answer.frame,
        "round": round_index,
        "source": kind,
        "seconds": answer.seconds,
        "boxes": [
            {"tube_id": name, "class_id": box.class_id, **dict(zip(("x1", "y1", "x2", "y2"), box.box, strict=True)),
             "mask": None}
            for name, box in zip(names, answer.boxes, strict=True)
        ],
        "answer": CANNOT_TELL if answer.cannot_tell else None,
        "annotator": answer.annotator,
        "answered_at": answer.answered_at,
        "preannotation": answer.preannotation
        or (what_became_of(proposed, answer.boxes, request.classes) if proposed and request is not None else None),
        "request": None if request is None else request.request,
        "standing": standing,
    }  # fmt: skip


def what_became_of(proposed: Sequence[ProposedBox], boxes: Sequence[AnsweredBox], classes: Sequence[str]) -> str:
    """What a person made of the proposed boxes of a frame.

    Returns:
        ``accepted``: all are there, of the same class and in their place, and no other; ``moved``: some are, moved,
        of another class, or beside new ones; ``discarded``: none is.
    """
    if not boxes:
        return "discarded"
    overlap = iou_matrix(np.array([box.box for box in proposed]), np.array([box.box for box in boxes]))
    rows, columns = linear_sum_assignment(-overlap)
    same_class = [
        proposed[row].class_name == classes[boxes[column].class_id] for row, column in zip(rows, columns, strict=True)
    ]
    if len(proposed) == len(boxes) and all(same_class) and (overlap[rows, columns] >= SAME_BOX_IOU).all():
        return "accepted"
    return "moved" if (overlap[rows, columns] >= MOVED_BOX_IOU).any() else "discarded"


_Content = tuple[bool, tuple[tuple[Any, ...], ...]]


def _content_of(answer: Answer) -> _Content:
    boxes = [(box.class_id, *(float(np.float32(edge)) for edge in box.box)) for box in answer.boxes]
    return answer.cannot_tell, tuple(sorted(boxes))


def _content(row: Mapping[str, Any]) -> _Content:
    boxes = [
        (box["class_id"], *(float(np.float32(box[edge])) for edge in ("x1", "y1", "x2", "y2"))) for box in row["boxes"]
    ]
    return row["answer"] is not None, tuple(sorted(boxes))


def _given_at_once(row: Mapping[str, Any], answer: Answer) -> bool:
    """Whether a row and an answer of one content can have been given in one go."""
    at, before = answer.answered_at, row["answered_at"]
    names = (row["annotator"], answer.annotator)
    if names[0] == names[1]:
        # Without dates, an answer that was given before is that one; with them, it may have been taken back and given
        # again.
        return at is None or before in (None, at)
    if None in names:  # a file that was brought without its annotator, and with
        return at == before
    # The export of a tool names people by numbers, its API by their addresses.
    return any(str(name).isdecimal() for name in names) and at is not None and at == before


def _who(row: Mapping[str, Any]) -> str:
    who = row["annotator"] or "an unnamed annotator"
    return who if row["answered_at"] is None else f"{who} of {row['answered_at']:%Y-%m-%d %H:%M}"
