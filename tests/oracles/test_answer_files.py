"""Files of answers of our own format. Oracle: the records that were written to them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from requests_by_hand import ID, pool, request

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import Checker
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.oracles.files import FileOracle, answers_template

ANSWERS: list[dict[str, Any]] = [
    {"task": f"{ID}-{rank:05d}", "boxes": [], "annotator": who} for rank, who in ((0, "ben"), (1, None), (2, "ben"))
]


def read(tmp_path: Path, text: str, name: str = "a.json", **how: Any):
    (tmp_path / name).write_text(text)
    return read_delivery(str(tmp_path / name), [request()], **how)


def test_what_the_head_says_holds_for_answers_that_do_not_say(tmp_path: Path) -> None:
    delivery = read(tmp_path, json.dumps({"request": ID, "annotator": "anna", "answers": ANSWERS}))
    assert [record.fields["annotator"] for record in delivery.records] == ["ben", "anna", "ben"]
    assert {record.fields["request"] for record in delivery.records} == {ID}
    assert (delivery.kind, delivery.source) == ("files", str(tmp_path / "a.json"))


def test_the_command_says_who_where_nobody_does(tmp_path: Path) -> None:
    delivery = read(tmp_path, json.dumps(ANSWERS), annotator="cleo")
    assert [record.fields["annotator"] for record in delivery.records] == ["ben", "cleo", "ben"]


def test_a_template_is_a_file_of_answers_with_nothing_answered(tmp_path: Path) -> None:
    asked = request(str(tmp_path))
    told = FileOracle().send(asked)
    assert str(tmp_path / "answers.json") in told
    assert json.loads((tmp_path / "answers.json").read_text()) == answers_template(asked)
    answers, rejected, still_open = Checker([asked], pool()).check(
        read_delivery(str(tmp_path / "answers.json"), [asked])
    )
    assert (answers, rejected, still_open) == ([], [], 3)
    (tmp_path / "answers.json").write_text("half filled in")
    FileOracle().send(asked)
    assert (tmp_path / "answers.json").read_text() == "half filled in"


def test_the_template_tells_which_frames_two_people_answer(tmp_path: Path) -> None:
    asked = request(str(tmp_path), twice=(1,))
    FileOracle().send(asked)
    assert [entry["answers_wanted"] for entry in answers_template(asked)["answers"]] == [1, 2, 1]
    assert 'An entry with "answers_wanted" 2 is answered by two people' in (tmp_path / "README.txt").read_text()


def test_a_proposal_in_the_template_can_be_accepted_as_it_is(tmp_path: Path) -> None:
    tree = answers_template(request())
    tree["answers"][0]["answer"] = "actors"
    answers, rejected, still_open = Checker([request()], pool()).check(read(tmp_path, json.dumps(tree)))
    assert (rejected, still_open, answers[0].boxes[0].box) == ([], 2, (4.0, 4.0, 20.0, 20.0))


def test_a_table_is_read_as_the_same(tmp_path: Path) -> None:
    box = {"class": "wave", "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0}
    rows = [
        {"task": f"{ID}-00000", "answer": "actors", "boxes": [box], "seconds": 3.0},
        {"task": f"{ID}-00001", "answer": "cannot tell"},
    ]
    pq.write_table(pa.Table.from_pylist(rows, pa.schema([
        ("task", pa.string()), ("boxes", pa.list_(pa.struct([(name, pa.string() if name == "class" else pa.float64())
                                                               for name in box]))),
        ("seconds", pa.float64()), ("answer", pa.string()),
    ])), tmp_path / "a.parquet")  # fmt: skip
    answers, rejected, still_open = Checker([request()], pool()).check(
        read_delivery(str(tmp_path / "a.parquet"), [request()])
    )
    assert (rejected, still_open) == ([], 0)
    assert [(len(answer.boxes), answer.cannot_tell) for answer in answers] == [(1, False), (0, True)]


@pytest.mark.parametrize("name", ["a.json", "a.parquet", "A.PARQUET"])
def test_an_open_row_is_open_in_a_file_and_in_a_table(name: str, tmp_path: Path) -> None:
    """Oracle: the one row that is answered; the proposal of another, and the emptiness of the third, say nothing."""
    box = {"class": "wave", "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0}
    rows = [
        {"task": f"{ID}-{rank:05d}", "answer": answer, "boxes": boxes}
        for rank, (answer, boxes) in enumerate([("actors", [box]), (None, [box]), (None, [])])
    ]
    (tmp_path / name).write_text(json.dumps(rows))
    if not name.endswith(".json"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    delivery = read_delivery(str(tmp_path / name), [request()])
    answers, rejected, still_open = Checker([request()], pool()).check(delivery)
    assert ([answer.frame for answer in answers], rejected, still_open) == ([2], [], 2)


def test_a_table_without_the_column_answers_by_its_boxes(tmp_path: Path) -> None:
    box = {"class": "wave", "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0}
    rows = [{"task": f"{ID}-00000", "boxes": [box]}, {"task": f"{ID}-00001", "boxes": []}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    answers, _, still_open = Checker([request()], pool()).check(read_delivery(str(tmp_path / "a.parquet"), [request()]))
    assert ([len(answer.boxes) for answer in answers], still_open) == ([1, 0], 0)


@pytest.mark.parametrize("end", [0.6, 0.75, 0.95])
def test_of_a_file_that_breaks_off_the_whole_answers_are_taken(end: float, tmp_path: Path) -> None:
    text = json.dumps({"request": ID, "annotator": "anna", "answers": ANSWERS})
    cut = text[: int(len(text) * end)]
    whole = sum(cut.count(json.dumps(answer)) for answer in ANSWERS)
    delivery = read(tmp_path, cut)
    assert [record.fields["task"] for record in delivery.records] == [answer["task"] for answer in ANSWERS[:whole]]
    assert delivery.records[0].fields["request"] == ID
    assert [line.record for line in delivery.unreadable] == [f"before answer {whole}"]


def test_damage_between_two_answers_costs_neither(tmp_path: Path) -> None:
    text = json.dumps({"request": ID, "answers": ANSWERS})
    middle = json.dumps(ANSWERS[1])
    delivery = read(tmp_path, text.replace(middle, middle[:-3] + "@@"))
    assert [record.fields["task"] for record in delivery.records] == [ANSWERS[0]["task"], ANSWERS[2]["task"]]
    assert len(delivery.unreadable) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "not valid JSON"), ("{}", "answers: found NoneType"), ('{"answers": 3}', "found int"), ("7", "found int")],
)
def test_what_holds_no_answer_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        read(tmp_path, text)


def test_an_empty_batch_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, '{"answers": []}').records == []


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in one of \.json, \.parquet, \.xml, \.zip"):
        read(tmp_path, "", name="a.csv")
