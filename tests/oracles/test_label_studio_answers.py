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


def test_an_export_counts_on(tmp_path: Path) -> None:
    """What is saved again comes with a new date and with all of its seconds, see `AnswerBook`."""
    (tmp_path / "export.json").write_text(json.dumps([task(0, annotation(rectangle()))]))
    assert read_delivery(str(tmp_path / "export.json"), [request()]).counts_on


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
    assert f"task {bad['id'] if isinstance(bad, dict) else 0}" in rejected.line()


@pytest.mark.parametrize("kind", ["polygonlabels", "brushlabels", "ellipselabels", "keypointlabels", "rectangle"])
def test_another_shape_than_a_rectangle_with_a_label_is_refused_by_its_type(kind: str, tmp_path: Path) -> None:
    """Oracle: somebody acts there, so that neither nobody nor the rectangles beside it are the answer."""
    value = {"rle": [1, 2]} if kind == "brushlabels" else {"points": [[1, 1], [9, 9], [1, 9]]}
    value = {"x": 1.0, "y": 1.0, "width": 9.0, "height": 9.0} if kind == "rectangle" else value
    shape = {"type": kind, "from_name": "other", "to_name": "image", "value": value}
    for beside in ((), (rectangle(),)):
        answers, (rejected,), _ = taken(tmp_path, task(0, annotation(shape, *beside)), task(1, annotation(rectangle())))
        assert [answer.frame for answer in answers] == [5]
        assert rejected.line().endswith(
            f"task 40, annotation 1: type: found {kind!r}, expected shapes of the type 'rectanglelabels' only"
        )
    assert taken(tmp_path, task(0, annotation(shape, was_cancelled=True)))[0][0].cannot_tell


def test_what_is_said_of_a_region_is_no_shape_of_its_own(tmp_path: Path) -> None:
    place = {"x": 25.0, "y": 50.0, "width": 50.0, "height": 25.0, "rotation": 0}
    said = [{"type": "textarea", "value": {**place, "text": ["blurred"]}}, {"type": "relation", "from_id": "a"}]
    (answer,), rejected, _ = taken(tmp_path, task(0, annotation(rectangle(), *said)))
    assert (len(answer.boxes), rejected) == (1, [])


def test_a_turned_rectangle_of_an_export_is_refused_as_that_of_a_pull(tmp_path: Path) -> None:
    answers, (rejected,), _ = taken(tmp_path, task(0, annotation(rectangle(rotation=30), rectangle())))
    assert answers == []
    assert rejected.line().endswith(
        "task 40, annotation 1: rotation: found 30°, expected a rectangle that is not turned"
    )


@pytest.mark.parametrize(("seconds", "kept"), [(250000.0, None), (-3.0, None), (86400.0, 86400.0), (0, 0.0)])
def test_a_time_that_nobody_worked_is_none_and_told(seconds: float, kept: float | None, tmp_path: Path) -> None:
    """Oracle: a page that was open from Friday to Monday, and a clock that was put back, spoil no answer."""
    (answer,), rejected, _ = taken(tmp_path, task(0, annotation(rectangle(), lead_time=seconds)))
    assert (answer.seconds, rejected) == (kept, [])
    delivery = read_delivery(str(tmp_path / "export.json"), [request()])
    file = tmp_path / "export.json"
    told = f"{file}: task 40, annotation 1: lead_time: found {seconds!r}, expected 0 to 86400 seconds; "
    assert delivery.remarks == ([f"{told}the answer is taken without its time"] if kept is None else [])


def test_a_time_that_is_no_number_is_still_refused(tmp_path: Path) -> None:
    answers, (rejected,), _ = taken(tmp_path, task(0, annotation(rectangle(), lead_time="long")))
    assert (answers, rejected.field) == ([], "seconds")
