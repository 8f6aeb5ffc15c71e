"""Label Studio's export as answers. Oracle: percentages turned into pixels by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from requests_by_hand import ID, pool, request

from hybridal_ray.oracles.checking import Checker
from hybridal_ray.oracles.deliveries import read_delivery


def rectangle(label: str = "kick", **changes: Any) -> dict[str, Any]:
    value = {"x": 25.0, "y": 50.0, "width": 50.0, "height": 25.0, "rotation": 0, "rectanglelabels": [label]}
    sizes = {"original_width": 64, "original_height": 48}
    return {"type": "rectanglelabels", "from_name": "box", "to_name": "image", **sizes, "value": value | changes}


def choice(*names: str) -> dict[str, Any]:
    return {"type": "choices", "from_name": "answer", "to_name": "image", "value": {"choices": list(names)}}


def annotation(*result: dict[str, Any], **changes: Any) -> dict[str, Any]:
    facts = {"id": 1, "completed_by": {"id": 3, "email": "anna@example.org"}, "lead_time": 7.5, "was_cancelled": False}
    return {**facts, "created_at": "2026-01-02T12:00:00Z", "result": list(result), **changes}


def task(rank: int, *annotations: dict[str, Any]) -> dict[str, Any]:
    return {"id": 40 + rank, "data": {"task": f"{ID}-{rank:05d}", "image": "x.png"}, "annotations": list(annotations)}


def taken(tmp_path: Path, *tasks: Any):
    (tmp_path / "export.json").write_text(json.dumps(list(tasks)))
    return Checker([request()], pool()).check(read_delivery(str(tmp_path / "export.json"), [request()]))


def test_rectangles_who_when_and_how_long(tmp_path: Path) -> None:
    (answer,), rejected, _ = taken(tmp_path, task(0, annotation(rectangle(), {"type": "textarea", "value": {}})))
    assert not rejected
    assert [(box.class_id, box.box) for box in answer.boxes] == [(1, (16.0, 24.0, 48.0, 36.0))]
    assert (answer.annotator, answer.seconds, f"{answer.answered_at:%m-%d}") == ("anna@example.org", 7.5, "01-02")


@pytest.mark.parametrize(
    ("given", "cannot_tell"),
    [
        (annotation(choice("no actor")), False),
        (annotation(), False),
        (annotation(choice("cannot tell"), rectangle()), True),
        (annotation(was_cancelled=True), True),
    ],
)
def test_the_other_answers(given: dict[str, Any], cannot_tell: bool, tmp_path: Path) -> None:
    (answer,), rejected, _ = taken(tmp_path, task(1, given))
    assert not rejected
    assert (answer.boxes, answer.cannot_tell) == ((), cannot_tell)


def test_tasks_without_annotation_are_open_and_two_annotators_are_two_answers(tmp_path: Path) -> None:
    answers, rejected, still_open = taken(
        tmp_path, task(0), task(1, annotation(rectangle()), annotation(completed_by=9, id=2))
    )
    assert (rejected, still_open) == ([], 1)
    assert [answer.annotator for answer in answers] == ["anna@example.org", "9"]


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (task(0, annotation(rectangle("run"))), "boxes[0].class"),
        (task(0, annotation(rectangle(x="left"))), "boxes[0].x1"),
        (task(0, annotation(rectangle(width=90.0))), "boxes[0].x2"),
        (task(0, annotation(choice("no actor"), rectangle())), "boxes"),
        (task(0, annotation(choice("no actor", "cannot tell"))), "answer"),
        (task(0, {"id": 4}), "task"),
        ({"id": 5, "data": {}, "annotations": []}, "task"),
        (17, "task"),
        (task(77, annotation(rectangle())), "task"),
    ],
)
def test_a_bad_task_is_named_and_the_next_is_taken(bad: Any, field: str, tmp_path: Path) -> None:
    answers, (rejected,), _ = taken(tmp_path, bad, task(1, annotation(rectangle())))
    assert [answer.frame for answer in answers] == [5]
    assert rejected.field == field
    assert "task 0" in rejected.line()
