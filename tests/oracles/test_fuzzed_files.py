"""Three hundred damaged files of answers. Oracle: the records that the damage did not touch, and no other exception.

Each file is a good one with a record spoilt, or with bytes cut, overwritten or repeated. What is taken of it must be
records of the good file, unchanged; and a file that lost one must say so.
"""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from requests_by_hand import CLASSES, ID, pool, request
from test_cvat_answers import EXPORT

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import Answer, Checker
from hybridal_ray.oracles.deliveries import read_delivery
from hybridal_ray.oracles.interface import Rejected

SPOILT: list[Any] = [None, -1, 1e300, float("nan"), "", "wave ", True, [], {}, [[]], {"a": 1}, "\0", 10**30, "x" * 300]


def good_answers() -> list[dict[str, Any]]:
    """Twelve answers: the three tasks, and nine frames by their place."""
    rng = random.Random(0)
    answers = []
    for number in range(12):
        place = {"task": f"{ID}-{number:05d}"} if number < 3 else {"video_id": "ab"[number % 2], "frame": number // 2}
        x, y = rng.uniform(0, 30), rng.uniform(0, 20)
        box = {"class": rng.choice(CLASSES), "x1": x, "y1": y, "x2": x + 20, "y2": y + 20}
        told = {"answer": "actors", "boxes": [box], "seconds": rng.uniform(1, 20), "annotator": "anna"}
        answers.append({**place, **told, "answered_at": f"2026-01-{number + 1:02d}T12:00:00Z"})
    return answers


def label_studio_tasks() -> list[dict[str, Any]]:
    tasks = []
    for number in range(3):
        value = {"x": 10.0, "y": 10.0, "width": 30.0, "height": 40.0, "rotation": 0, "rectanglelabels": ["kick"]}
        result = [{"type": "rectanglelabels", "value": value, "original_width": 64, "original_height": 48}]
        annotation = {"id": number, "completed_by": 1, "lead_time": 4.5, "result": result}
        dated = {**annotation, "created_at": "2026-01-02T12:00:00Z", "was_cancelled": False}
        tasks.append({"id": number, "data": {"task": f"{ID}-{number:05d}"}, "annotations": [dated]})
    return tasks


def files(folder: Path) -> dict[str, Path]:
    """A good file of each format."""
    answers = good_answers()
    (folder / "own.json").write_text(json.dumps({"request": ID, "answers": answers}, indent=1))
    pq.write_table(pa.Table.from_pylist(answers), folder / "own.parquet")
    (folder / "export.xml").write_text(EXPORT)
    (folder / "studio.json").write_text(json.dumps(label_studio_tasks()))
    return {file.name: file for file in sorted(folder.iterdir())}


def taken(file: Path) -> tuple[list[Answer], list[Rejected], int]:
    """What is taken of a file, what is not, and how many answers are null; a file of which nothing is is rejected."""
    asked = [request()]
    try:
        return Checker(asked, pool()).check(read_delivery(str(file), asked))
    except UserError as error:
        return [], [Rejected(str(file), "all of it", "file", str(error), "a file of answers")], 0


def content(answer: Answer) -> tuple[Any, ...]:
    """An answer but for its place in the file."""
    boxes = tuple((box.class_id, *box.box) for box in answer.boxes)
    return answer.video_id, answer.frame, answer.cannot_tell, boxes, answer.annotator, answer.seconds


def spoil_a_field(rng: random.Random, file: Path) -> None:
    """A field of a record, or of a box, gets a value that it cannot have, or goes."""
    tree = json.loads(file.read_text())
    record = rng.choice(tree["answers"])
    target = rng.choice([record, record["boxes"][0]])
    name = rng.choice(sorted(target))
    if rng.random() < 0.2:
        del target[name]
    else:
        target[name] = rng.choice(SPOILT)
    file.write_text(json.dumps(tree))


def spoil_bytes(rng: random.Random, file: Path) -> None:
    """Bytes are cut off, overwritten, taken out or written twice."""
    raw = bytearray(file.read_bytes())
    place, length = rng.randrange(len(raw)), rng.randrange(1, 40)
    how = rng.randrange(4)
    if how == 0:
        del raw[place:]
    elif how == 1:
        raw[place : place + length] = bytes(rng.randrange(256) for _ in range(length))
    elif how == 2:
        del raw[place : place + length]
    else:
        raw[place:place] = raw[place : place + length]
    file.write_bytes(bytes(raw))


@pytest.mark.parametrize(
    ("name", "spoil", "trials"),
    [
        ("own.json", spoil_a_field, 100),
        ("own.json", spoil_bytes, 80),
        ("own.parquet", spoil_bytes, 30),
        ("export.xml", spoil_bytes, 60),
        ("studio.json", spoil_bytes, 60),
    ],
)
def test_damaged_files(name: str, spoil: Callable[[random.Random, Path], None], trials: int, tmp_path: Path) -> None:
    rng = random.Random(name)
    good = files(tmp_path)[name]
    whole = good.read_bytes()
    before = [content(answer) for answer in taken(good)[0]]
    assert len(before) in (3, 12)
    noticed = 0
    for _ in range(trials):
        good.write_bytes(whole)
        spoil(rng, good)
        answers, rejected, still_open = taken(good)
        noticed += bool(rejected)
        assert all(one.line().startswith(f"{good}: ") for one in rejected)
        assert len(answers) + still_open == len(before) or rejected  # none is gone without a word
        if spoil is spoil_a_field:
            assert len(answers) + len(rejected) + still_open == len(before)
            survived = [content(answer) for answer in answers]
            assert sum(one not in survived for one in before) <= 1
    assert noticed > trials / 4
