"""Answers are checked field by field. Oracle: what each field may hold, written down by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from requests_by_hand import ID, pool, request

from hybridal_ray.oracles.checking import Answer, Checker
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected

BOX = {"class": "wave", "x1": 1, "y1": 2, "x2": 30.5, "y2": 40}
GOOD = {"task": f"{ID}-00000", "answer": "actors", "boxes": [BOX]}


def check(*fields: dict[str, Any]) -> tuple[list[Answer], list[Rejected], int]:
    records = [AnswerRecord(f"answer {number}", one) for number, one in enumerate(fields)]
    return Checker([request()], pool()).check(Delivery("f.json", "files", records))


def test_a_whole_answer() -> None:
    told = {"annotator": " anna ", "seconds": 12, "answered_at": "2026-01-31T15:05:00.1234+01:00"}
    (answer,), rejected, still_open = check({**GOOD, **told, "request": ID, "preannotation": "moved"})
    assert (rejected, still_open) == ([], 0)
    assert (answer.video_id, answer.frame, answer.annotator, answer.seconds) == ("a", 2, "anna", 12.0)
    assert answer.answered_at == datetime(2026, 1, 31, 14, 5, 0, 123000, UTC)
    assert [(box.class_id, box.box, box.actor) for box in answer.boxes] == [(0, (1.0, 2.0, 30.5, 40.0), None)]
    assert answer.preannotation == "moved"


@pytest.mark.parametrize(
    ("fields", "boxes", "cannot_tell"),
    [
        ({"boxes": []}, 0, False),
        ({"boxes": [BOX]}, 1, False),
        ({"answer": "no actor"}, 0, False),
        ({"answer": "no actor", "boxes": []}, 0, False),
        ({"answer": "cannot tell"}, 0, True),
        ({"answer": "cannot tell", "boxes": [BOX]}, 0, True),
    ],
)
def test_the_three_answers(fields: dict[str, Any], boxes: int, cannot_tell: bool) -> None:
    (answer,), rejected, _ = check({"task": f"{ID}-00001", **fields})
    assert not rejected
    assert (len(answer.boxes), answer.cannot_tell) == (boxes, cannot_tell)


def test_frames_by_their_place_asked_for_or_not() -> None:
    answers, rejected, _ = check(
        {"video_id": "a", "frame": 5, "boxes": []}, {"video_id": "b", "frame": 3.0, "boxes": [BOX]}
    )
    assert not rejected
    assert [answer.asked.task if answer.asked else None for answer in answers] == [f"{ID}-00001", None]
    assert answers[1].frame == 3


def test_an_answer_of_null_is_none_yet() -> None:
    assert check({**GOOD, "answer": None}) == ([], [], 1)


def box(**changes: Any) -> dict[str, Any]:
    return {"boxes": [BOX, {**BOX, **changes}]}


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"request": "another"}, "request", "a request of this run (0123456789ab); the file may be of another run"),
        ({"task": "ffffffffffff-00000"}, "task", "a request of this run"),
        ({"task": f"{ID}-00099"}, "task", "a task of its request"),
        ({"task": 7}, "task", "a request of this run"),
        ({"frame": 3}, "frame", "2, as the task"),
        ({"task": None, "video_id": "aa", "frame": 1}, "video_id", "a video of the pool that decodes; did you mean"),
        ({"task": None}, "video_id", "a video of the pool"),
        ({"task": None, "video_id": "t", "frame": 1}, "video_id", "a video of the split train, this is of test"),
        ({"task": None, "video_id": "a", "frame": 10}, "frame", "a frame of a, 0 to 9"),
        ({"task": None, "video_id": "a", "frame": 1.5}, "frame", "0 to 9"),
        ({"task": None, "video_id": "a", "frame": True}, "frame", "0 to 9"),
        ({"task": None, "video_id": "a", "frame": float("nan")}, "frame", "0 to 9"),
        ({"answer": "perhaps"}, "answer", "one of actors, no actor, cannot tell"),
        ({"answer": "actors", "boxes": []}, "boxes", "at least one box"),
        ({"answer": "no actor"}, "boxes", "no box beside"),
        ({"boxes": {}}, "boxes", "a list of boxes"),
        ({"boxes": ["wave"]}, "boxes[0]", "a box with class"),
        (box(**{"class": "waev"}), "boxes[1].class", "one of wave, kick; did you mean 'wave'?"),
        (box(x2=66), "boxes[1].x2", "a number of pixels, 0 to 64"),
        (box(y1=-1.5), "boxes[1].y1", "0 to 48"),
        (box(y2="40"), "boxes[1].y2", "0 to 48"),
        (box(x1=float("inf")), "boxes[1].x1", "0 to 64"),
        (box(x1=30.5), "boxes[1]", "x1 below x2"),
        ({"boxes": [{**BOX, "actor": "w"}, {**BOX, "actor": "w"}]}, "boxes", "one box for each actor and class"),
        ({"boxes": [{**BOX, "actor": ""}]}, "boxes[0].actor", "a name of 1"),
        ({"annotator": ["anna"]}, "annotator", "a name of 1"),
        ({"seconds": -1}, "seconds", "seconds taken"),
        ({"seconds": "long"}, "seconds", "seconds taken"),
        ({"answered_at": "yesterday"}, "answered_at", "a date and time"),
        ({"answered_at": 5}, "answered_at", "a date and time"),
        ({"answered_at": "2962-01-31T14:05:00Z"}, "answered_at", "not more than a day ahead"),
        ({"annotator": "anna \ud83d"}, "annotator", "a name of whole characters"),
        ({"boxes": [{**BOX, "actor": "\udc80"}]}, "boxes[0].actor", "a name of whole characters"),
        ({"preannotation": "kept"}, "preannotation", "one of accepted, moved, discarded"),
    ],
)
def test_a_bad_record_is_named_and_does_not_block_the_next(changes: dict[str, Any], field: str, expected: str) -> None:
    answers, (rejected,), _ = check({**GOOD, **changes}, GOOD)
    assert [answer.record for answer in answers] == ["answer 1"]
    assert (rejected.record, rejected.field) == ("answer 0", field)
    assert expected in rejected.expected
    assert rejected.line().startswith(f"f.json: answer 0: {field}: found ")
    assert rejected.content == {**GOOD, **changes} or "nan" in str(changes)


def test_a_video_that_is_gone_by_now_costs_its_own_records_alone() -> None:
    """Oracle: the video of the first task has gone missing since it was asked for; the other's is there."""
    rows = [row | ({"status": "missing"} if row["video_id"] == "a" else {}) for row in pool().videos.to_pylist()]
    gone = replace(pool(), videos=pa.Table.from_pylist(rows, pool().videos.schema))
    fields = [GOOD, {"video_id": "a", "frame": 1, "boxes": []}, {"task": f"{ID}-00002", "boxes": []}]
    records = [AnswerRecord(f"answer {number}", one) for number, one in enumerate(fields)]
    (answer,), rejected, _ = Checker([request()], gone).check(Delivery("f.json", "files", records))
    assert answer.video_id == "b"
    expected = "video_id: found 'a', expected a video of the pool that decodes; it is missing now"
    assert [one.line() for one in rejected] == [f"f.json: answer {number}: {expected}" for number in (0, 1)]


def test_of_two_people_each_must_have_a_name() -> None:
    """Oracle: frame 2 is asked of two people, frame 5 of one; of frame 3 nobody was asked."""
    fields = [{**GOOD, **who} for who in ({}, {"annotator": "anna"})]
    fields += [{"task": f"{ID}-00001", "boxes": []}, {"video_id": "a", "frame": 3, "boxes": []}]
    records = [AnswerRecord(f"answer {number}", one) for number, one in enumerate(fields)]
    answers, rejected, _ = Checker([request(twice=(0,))], pool()).check(Delivery("f.json", "files", records))
    assert [(answer.frame, answer.annotator) for answer in answers] == [(2, "anna"), (5, None), (3, None)]
    assert [one.line() for one in rejected] == [
        "f.json: answer 0: annotator: found nothing, expected a name: two people answer this frame (or --annotator)"
    ]


def test_a_date_of_a_clock_that_is_a_little_ahead_is_taken() -> None:
    for hours, taken in ((23, 1), (25, 0)):
        at = datetime.now(UTC) + timedelta(hours=hours)
        assert len(check({**GOOD, "answered_at": at.isoformat()})[0]) == taken


def test_a_tool_s_rounding_over_the_edge_is_cut_off() -> None:
    (answer,), _, _ = check({**GOOD, "boxes": [{**BOX, "x1": -0.4, "x2": 64.9}]})
    assert answer.boxes[0].box == (0.0, 2.0, 64.0, 40.0)
