"""The ledger by frame, as answers are compared with it: what is there already, what counts, what was booked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hybridal_ray.oracles.checking import Answer
from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.pool import ledger
from hybridal_ray.pool.ledger import OUTDATED, SECOND_OPINION, LabelledBox


class AnswerBook:
    """The ledger by frame, as it grows by a delivery.

    Args:
        labels: The ledger so far (`LABELS_SCHEMA`).
    """

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

    def same_as(self, answer: Answer, delivery: Delivery) -> Sequence[Mapping[str, Any]]:
        """The rows that are the same answer of the same annotator, by whatever way they came.

        Args:
            answer: A new one.
            delivery: That it came in.
        """
        if delivery.counts_on and (saved := self._saved_again(answer)):
            return saved
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
        """Whether a new answer counts, and the row that it supersedes, stands beside, or is older than."""
        counting = self._counting(answer.video_id, answer.frame)
        if not counting:
            return None, None
        former = counting[-1]
        wanted = 1 if answer.asked is None else answer.asked.answers_wanted
        second = wanted > 1 and former["annotator"] != answer.annotator
        # Of two who answer a frame, each one's answers are compared with that one's own.
        rivals = [*self._of_annotator(answer), *([] if second else [former])]
        dated = [row for row in rivals if row["answered_at"] is not None]
        newest = max(dated, key=lambda row: row["answered_at"], default=None)
        if answer.answered_at is not None and newest is not None and answer.answered_at < newest["answered_at"]:
            return OUTDATED, newest
        return (SECOND_OPINION if second else None), former

    def seconds_of(self, answer: Answer, delivery: Delivery) -> float | None:
        """The seconds of an answer that are not in the ledger yet.

        Where a tool counts on, as Label Studio whenever an annotation is opened again, a correction comes with the
        time of what it corrects.
        """
        if not delivery.counts_on or answer.seconds is None:
            return answer.seconds
        request = None if answer.request is None else answer.request.request
        own = [row for row in self._of_annotator(answer) if (row["source"], row["request"]) == (delivery.kind, request)]
        return max(0.0, answer.seconds - sum(row["seconds"] or 0.0 for row in own))

    def _saved_again(self, answer: Answer) -> Sequence[Mapping[str, Any]]:
        """The row, if any, that an answer is as it was: some tools date anew what is saved unchanged."""
        counting = self._counting(answer.video_id, answer.frame)
        own = [row for row in self._of_annotator(answer) if row["standing"] != OUTDATED][-1:]
        return [
            row
            for row in own
            if _content(row) == _content_of(answer) and (row["standing"] == SECOND_OPINION or row is counting[-1])
        ]

    def _counting(self, video_id: str, frame: int) -> list[dict[str, Any]]:
        return [row for row in self._rows.get((video_id, frame), []) if row["standing"] is None]

    def _of_annotator(self, answer: Answer) -> list[dict[str, Any]]:
        rows = self._rows.get((answer.video_id, answer.frame), [])
        return [row for row in rows if row["annotator"] == answer.annotator]


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
