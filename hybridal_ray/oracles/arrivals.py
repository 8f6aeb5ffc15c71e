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
from hybridal_ray.oracles.answer_book import AnswerBook
from hybridal_ray.oracles.checking import Answer, AnsweredBox, Checker
from hybridal_ray.oracles.interface import Delivery, Rejected
from hybridal_ray.pool.ledger import CANNOT_TELL, LABELS_SCHEMA, OUTDATED, SECOND_OPINION
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
        outdated: Of them, answers that are older than one that is there; a line each.
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
    outdated: tuple[str, ...]
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
            "duplicates": self.duplicates,
            "still_open": self.still_open,
            "corrections": list(self.corrections),
            "outdated": list(self.outdated),
            "not_asked": list(self.not_asked),
            "superseded": list(self.superseded),
            "rejected": [rejected.line() for rejected in self.rejected],
            "remarks": list(self.remarks),
        }


def settle(
    delivery: Delivery, requests: Sequence[Request], pool: Pool, labels: pa.Table, open_round: int, closed: set[int]
) -> Arrival:
    """Decides what a delivery adds to the ledger; taking the same delivery again adds nothing.

    Of a frame that one answer is wanted of, the one given later counts, whoever gave it and whatever the order of
    arrival. Where two are wanted, another annotator's answer is a second opinion, and the later of each counts.

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
    book = AnswerBook(labels)
    rows: list[dict[str, Any]] = []
    told: dict[str, list[str]] = {"corrections": [], "outdated": [], "not_asked": [], "superseded": []}
    duplicates = 0
    for answer in (answers[place] for place in order):
        where = f"{delivery.source}: {answer.record}: {answer.video_id}, frame {answer.frame}"
        if same := book.same_as(answer, delivery):
            duplicates += 1
            if answer.answered_at is None and (later := book.correction_of(same)) is not None:
                told["superseded"].append(
                    f"{where}: was answered so before the answer of {_who(later)}, which stands; expected answered_at "
                    "where it is to stand again"
                )
            continue
        standing, former = book.standing_of(answer)
        asked_for = open_round if answer.request is None else answer.request.for_round
        row = _row(answer, delivery, open_round if asked_for in closed else asked_for, standing, book)
        rows.append(row)
        for kind, line in _told_of(answer, standing, former).items():
            told[kind].append(f"{where}: {line}")
        book.add(row)
    return Arrival(
        source=delivery.source,
        rows=pa.Table.from_pylist(rows, schema=LABELS_SCHEMA),
        cannot_tell=sum(row["answer"] is not None for row in rows),
        second_opinions=sum(row["standing"] == SECOND_OPINION for row in rows),
        duplicates=duplicates,
        still_open=still_open,
        rejected=tuple(rejected),
        remarks=tuple(delivery.remarks),
        **{kind: tuple(lines) for kind, lines in told.items()},
    )


def _told_of(answer: Answer, standing: str | None, former: Mapping[str, Any] | None) -> dict[str, str]:
    """What a person should know of a new row, by the fields of `Arrival`."""
    told = {}
    if former is not None and standing is None:
        told["corrections"] = f"supersedes the answer of {_who(former)}"
    if former is not None and standing == OUTDATED:
        told["outdated"] = f"is older than the answer of {_who(former)}; it is kept and does not count"
    if answer.asked is None:
        told["not_asked"] = "no request asked for it; it is kept"
    return told


def _row(
    answer: Answer, delivery: Delivery, round_index: int, standing: str | None, book: AnswerBook
) -> dict[str, Any]:
    names = named_boxes(answer.boxes, answer.frame, book.known(answer.video_id))
    proposed = None if answer.asked is None else answer.asked.proposed
    request = answer.request
    return {
        "video_id": answer.video_id,
        "frame": answer.frame,
        "round": round_index,
        "source": delivery.kind,
        "seconds": book.seconds_of(answer, delivery),
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


def _who(row: Mapping[str, Any]) -> str:
    who = row["annotator"] or "an unnamed annotator"
    return who if row["answered_at"] is None else f"{who} of {row['answered_at']:%Y-%m-%d %H:%M}"
