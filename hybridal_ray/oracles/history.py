"""What was answered of a video, by whom and when, and what superseded what."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool.ledger import OUTDATED, SECOND_OPINION


@dataclass(frozen=True)
class Entry:
    """An answer of the ledger.

    Attributes:
        video_id: Of the pool.
        frame: Of the video.
        round: From whose training on it counts.
        answer: ``2 actors: wave, kick``, ``no actor`` or ``cannot tell``.
        annotator: Who, or None.
        answered_at: When, in UTC, or None.
        seconds: It took, or None.
        preannotation: What became of the detector's boxes, or None.
        source: ``simulated``, ``files``, ``cvat``, ``label-studio``.
        state: ``stands``, ``superseded``, ``second opinion`` or ``outdated``.
    """

    video_id: str
    frame: int
    round: int
    answer: str
    annotator: str | None
    answered_at: str | None
    seconds: float | None
    preannotation: str | None
    source: str
    state: str

    def as_json(self) -> dict[str, Any]:
        """The entry as plain values."""
        return asdict(self)

    def line(self) -> str:
        """The entry in one line."""
        parts = [f"frame {self.frame}", self.answer, self.state, f"round {self.round}", self.annotator or "unnamed"]
        parts += [self.answered_at] if self.answered_at else []
        parts += [f"{self.seconds:g} s"] if self.seconds is not None else []
        parts += [f"proposal {self.preannotation}"] if self.preannotation else []
        return ", ".join([*parts, self.source])


def history_of(labels: pa.Table, video_id: str, classes: Sequence[str]) -> list[Entry]:
    """The answers of a video, by frame and in the order of the ledger.

    Args:
        labels: The ledger (`LABELS_SCHEMA`).
        video_id: Which video.
        classes: Names of the classes.
    """
    rows = labels.filter(pc.equal(labels["video_id"], video_id)).to_pylist()
    last = {row["frame"]: place for place, row in enumerate(rows) if row["standing"] is None}
    entries = [_entry(row, classes, stands=last.get(row["frame"]) == place) for place, row in enumerate(rows)]
    return sorted(entries, key=lambda entry: entry.frame)


def _entry(row: dict[str, Any], classes: Sequence[str], *, stands: bool) -> Entry:
    names = [classes[box["class_id"]] for box in row["boxes"]]
    told = f"{len(names)} actor{'s' if len(names) > 1 else ''}: {', '.join(names)}" if names else "no actor"
    at = row["answered_at"]
    state = row["standing"] if row["standing"] in (SECOND_OPINION, OUTDATED) else "stands" if stands else "superseded"
    return Entry(
        video_id=row["video_id"],
        frame=row["frame"],
        round=row["round"],
        answer=row["answer"] or told,
        annotator=row["annotator"],
        answered_at=None if at is None else f"{at:%Y-%m-%d %H:%M:%S}",
        seconds=row["seconds"],
        preannotation=row["preannotation"],
        source=row["source"],
        state=state,
    )
