"""The history of a video's answers. Oracle: a story told by hand."""

from datetime import UTC, datetime

import pyarrow as pa

from hybridal_ray.oracles.history import history_of
from hybridal_ray.pool.ledger import CANNOT_TELL, LABELS_SCHEMA, OUTDATED, SECOND_OPINION

BOX = {"tube_id": "t", "class_id": 1, "x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0, "mask": None}


def row(frame: int, boxes: int, **facts: object) -> dict:
    empty = dict.fromkeys(LABELS_SCHEMA.names)
    return empty | {"video_id": "a", "frame": frame, "round": 0, "source": "files", "boxes": [BOX] * boxes} | facts


def test_what_superseded_what() -> None:
    rows = [
        row(7, 2, annotator="anna", answered_at=datetime(2026, 1, 2, 12, 0, tzinfo=UTC), seconds=4.5),
        row(3, 0, answer=CANNOT_TELL),
        row(7, 1, annotator="ben", standing=SECOND_OPINION),
        row(7, 0, annotator="anna", round=2, preannotation="discarded"),
        row(7, 1, annotator="anna", standing=OUTDATED),
        row(1, 1, video_id="b"),
    ]
    entries = history_of(pa.Table.from_pylist(rows, LABELS_SCHEMA), "a", ("wave", "kick"))
    assert [(entry.frame, entry.answer, entry.state) for entry in entries] == [
        (3, "cannot tell", "stands"),
        (7, "2 actors: kick, kick", "superseded"),
        (7, "1 actor: kick", "second opinion"),
        (7, "no actor", "stands"),
        (7, "1 actor: kick", "outdated"),
    ]
    assert (
        entries[1].line()
        == "frame 7, 2 actors: kick, kick, superseded, round 0, anna, 2026-01-02 12:00:00, 4.5 s, files"
    )
    assert entries[3].line() == "frame 7, no actor, stands, round 2, anna, proposal discarded, files"
