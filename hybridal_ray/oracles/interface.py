"""Who answers when frames are picked: at once, or when people come to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from hybridal_ray.requests.request import Request


class Oracle(Protocol):
    """Labels frames at once, as the ground truth can."""

    def label(self, selection: pa.Table, round_index: int) -> pa.Table:
        """Labels what was selected.

        Args:
            selection: Table of `SELECTION_SCHEMA`.
            round_index: The round from whose training on the labels are used.

        Returns:
            Table of `LABELS_SCHEMA`, in the order of purchase. A frame on which nobody acts is there with no
            boxes.
        """
        ...


@dataclass(frozen=True)
class Rejected:
    """What cannot be taken of a delivery, and why; nothing is dropped without one of these.

    Attributes:
        source: The file, or the address of the tool.
        record: Which of its records.
        field: The field at fault.
        found: What it holds.
        expected: What it should hold.
        content: The record as it came, to be put right.
    """

    source: str
    record: str
    field: str
    found: str
    expected: str
    content: Any = None

    def line(self) -> str:
        """One line for a person."""
        return f"{self.source}: {self.record}: {self.field}: found {self.found}, expected {self.expected}"


@dataclass(frozen=True)
class AnswerRecord:
    """An answer as it came, not checked yet.

    Attributes:
        record: Which of the delivery, for messages.
        fields: As docs/people.md tells them: ``task`` or ``video_id`` and ``frame``; ``request``; ``answer``;
            ``boxes``, a list of ``class``, ``x1``, ``y1``, ``x2``, ``y2`` and, where known, ``actor``; ``annotator``;
            ``answered_at``; ``seconds``; ``preannotation``.
    """

    record: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Delivery:
    """Answers that came together.

    Attributes:
        source: The file, or the address of the tool.
        kind: What the ledger calls the source: ``files``, ``cvat``, ``label-studio``.
        records: Whatever has the shape of an answer.
        unreadable: What has not.
        remarks: A line for everything else that a person should know of it.
        counts_on: Whether the tool dates an answer anew whenever it is saved, changed or not, and its seconds are all
            that were ever spent on it.
    """

    source: str
    kind: str
    records: Sequence[AnswerRecord]
    unreadable: Sequence[Rejected] = field(default=())
    remarks: Sequence[str] = field(default=())
    counts_on: bool = False


class WaitingOracle(Protocol):
    """Hands requests to people, and brings back what they answered. It is built from ``oracle.options``.

    Both methods may be called again and again, by jobs that know nothing of former ones: `send` must hand a request
    out once, whatever number of times it is called, and `fetch` may bring the same answers again.
    """

    def send(self, request: Request) -> str:
        """Hands a request out; what is out already is left as it is.

        Returns:
            Where people find it and how their labels come back, in a sentence or two.

        Raises:
            ToolUnreachable: The tool did not answer, for all patience; it is tried again with the next job.
        """
        ...

    def fetch(self, request: Request) -> Delivery | None:
        """Brings back all answers to a request that there are so far; None where they come in files.

        Raises:
            ToolUnreachable: As in `send`.
        """
        ...


class ToolUnreachable(Exception):
    """The annotation tool is down, refuses, or is too slow; nothing is lost, the run waits and says so."""
