"""Answers out of jobs of CVAT, as its SDK reads them from a server on a real socket.

Oracle: what a person did in each job, told by hand, against the rows that come of it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from misbehaving_cvat import MisbehavingCvat
from misbehaving_server import TOKEN, serving
from requests_by_hand import ID, pool, request

from hybridal_ray.oracles.arrivals import Arrival, settle
from hybridal_ray.oracles.cvat import CvatOracle
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.requests.pictures import encode_film, encode_png, film_frame
from hybridal_ray.requests.request import Request

pytest.importorskip("cvat_sdk", reason="pip install -c constraints.txt '.[cvat]' brings the SDK")

ANNA, BEN = ({"id": 3, "username": name, "url": "", "first_name": "", "last_name": ""} for name in ("anna", "ben"))
WAVE, KICK, NO_ACTOR, CANNOT_TELL = 100, 101, 102, 103  # as the server numbers labels


class Sent:
    """A request that is on a server."""

    def __init__(self, server: MisbehavingCvat, oracle: CvatOracle, asked: Request) -> None:
        self.server, self.oracle, self.asked = server, oracle, asked
        self._state = deepcopy((server.tasks, server.jobs))

    def anew(self) -> None:
        """As just after sending."""
        self.server.tasks, self.server.jobs = deepcopy(self._state)
        (Path(self.asked.directory) / "cvat_seen.json").unlink(missing_ok=True)

    def done(self, *, job: int = 10, **fields: Any) -> None:
        """Somebody works on a job."""
        self.server.jobs[job] |= {"state": "completed", "assignee": ANNA, **fields}

    def draw(self, *shapes: dict[str, Any], tags: dict[int, int] | None = None, task: int = 1, **others: Any) -> None:
        """All that is annotated in a task, that of two images."""
        told = [{"frame": frame, "label_id": label} for frame, label in (tags or {}).items()]
        self.server.tasks[task]["annotations"] = {
            "version": 1,
            "tags": told,
            "shapes": list(shapes),
            "tracks": [],
            **others,
        }

    def pull(self, labels: Any = None) -> Arrival:
        """What a pull adds to a ledger."""
        known = LABELS_SCHEMA.empty_table() if labels is None else labels
        return settle(self.oracle.fetch(self.asked), [self.asked], pool(), known, 0, set())


@contextmanager
def sent_to_a_server(asked: Request) -> Iterator[Sent]:
    """A request, with pictures, on a server for the time of a block."""
    picture = np.full((48, 64, 3), 90, np.uint8)
    for frame in asked.frames:
        film = encode_film([film_frame(picture)] * 3, 25)
        for name, content in ((frame.image, encode_png(picture)), (frame.clip, film)):
            (Path(asked.directory) / name).parent.mkdir(parents=True, exist_ok=True)
            (Path(asked.directory) / name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch, serving(MisbehavingCvat()) as server:
        patch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
        patch.setattr("hybridal_ray.oracles.cvat_server.sleep", lambda seconds: None)
        oracle = CvatOracle(server.url)
        oracle.send(asked)
        yield Sent(server, oracle, asked)


@pytest.fixture(scope="module")
def on_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    with sent_to_a_server(request(str(tmp_path_factory.mktemp("run") / "start/request"))) as sent:
        yield sent


@pytest.fixture
def sent(on_server: Sent) -> Sent:
    on_server.anew()
    return on_server


def rectangle(label: int, frame: int, *points: float, **fields: Any) -> dict[str, Any]:
    return {
        "type": "rectangle",
        "label_id": label,
        "frame": frame,
        "points": list(points),
        "source": "manual",
        **fields,
    }


def test_a_job_that_is_not_done_is_open(sent: Sent) -> None:
    sent.draw(rectangle(KICK, 0, 1, 1, 9, 9))
    sent.server.jobs[10]["state"] = "in progress"
    arrival = sent.pull()
    assert (len(arrival.rows), arrival.still_open, arrival.rejected) == (0, 3, ())


def test_a_done_job_answers_all_its_images_and_no_other(sent: Sent) -> None:
    """The first as it was sent, the second with nothing on it; the other video's job is not done."""
    sent.done()
    arrival = sent.pull()
    first, second = arrival.rows.to_pylist()
    assert (first["frame"], first["preannotation"], first["annotator"]) == (2, "accepted", "anna")
    assert f"{first['answered_at']:%Y-%m-%d %H:%M}" == "2026-01-02 12:00"
    assert (second["frame"], second["boxes"], second["answer"], second["seconds"]) == (5, [], None, None)
    assert (first["source"], arrival.still_open) == ("cvat", 1)


def test_boxes_actors_and_tags_are_answers(sent: Sent) -> None:
    actor = [{"spec_id": 901, "value": "Kim"}]
    sent.done()
    sent.draw(rectangle(KICK, 0, 8, 4, 24, 20, attributes=actor), tags={1: CANNOT_TELL})
    first, second = sent.pull().rows.to_pylist()
    (box,) = first["boxes"]
    assert (box["class_id"], box["tube_id"], box["x1"], box["x2"]) == (1, "Kim", 8, 24)
    assert first["preannotation"] == "moved"
    assert second["answer"] == "cannot tell"


def test_a_discarded_proposal_is_told(sent: Sent) -> None:
    sent.done()
    sent.draw(tags={0: NO_ACTOR})
    assert [row["preannotation"] for row in sent.pull().rows.to_pylist()] == ["discarded", None]


def test_a_turned_rectangle_is_the_box_around_it(sent: Sent) -> None:
    """A rectangle of 20 by 10 about (30, 25), by a quarter turn one of 10 by 20."""
    sent.done()
    sent.draw(rectangle(WAVE, 0, 20, 20, 40, 30, rotation=90.0))
    box = sent.pull().rows.to_pylist()[0]["boxes"][0]
    assert [box[edge] for edge in ("x1", "y1", "x2", "y2")] == pytest.approx([25, 15, 35, 35])


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (rectangle(999, 0, 1, 1, 9, 9), "boxes[0].class: found 'label 999', expected one of wave, kick"),
        (rectangle(WAVE, 0, 1, 1, 90, 9), "boxes[0].x2: found 90.0, expected a number of pixels, 0 to 64"),
        (rectangle(WAVE, 0, 9, 9, 1, 1), "x1 below x2"),
        ({**rectangle(WAVE, 0, 1, 1, 9, 9, 1, 9), "type": "polygon"}, "polygon: found a polygon, expected rectangles"),
    ],
)
def test_a_bad_answer_is_named_and_stops_no_other(sent: Sent, shape: dict[str, Any], told: str) -> None:
    sent.done()
    sent.draw(shape)
    arrival = sent.pull()
    (refused,) = arrival.rejected
    assert told in refused.line()
    assert "job 10, image 0" in refused.line()
    assert [row["frame"] for row in arrival.rows.to_pylist()] == [5]


def test_tracks_and_deleted_images_are_named(sent: Sent) -> None:
    sent.done()
    keyframe = {"type": "rectangle", "frame": 1, "points": [1.0, 1.0, 9.0, 9.0], "attributes": []}
    sent.draw(tracks=[{"label_id": WAVE, "frame": 1, "shapes": [keyframe], "attributes": []}])
    sent.server.tasks[1]["deleted"] = [0]
    lines = [refused.line() for refused in sent.pull().rejected]
    assert "image 0: frame: found a deleted image" in lines[0]
    assert "image 1: track: found a track" in lines[1]


@pytest.mark.parametrize(
    ("stage", "at", "state", "taken"),
    [
        ("annotation", "annotation", "completed", True),
        ("annotation", "annotation", "rejected", False),
        ("annotation", "validation", "new", True),  # the annotator was done, else it would not be reviewed
        ("annotation", "validation", "rejected", False),
        ("acceptance", "annotation", "completed", False),
        ("acceptance", "validation", "completed", False),
        ("acceptance", "acceptance", "new", False),
        ("acceptance", "acceptance", "completed", True),
    ],
)
def test_a_job_is_taken_when_it_has_passed_the_stage(
    sent: Sent, monkeypatch: pytest.MonkeyPatch, stage: str, at: str, state: str, taken: bool
) -> None:
    monkeypatch.setattr(sent.oracle, "_stage", stage)
    sent.done(stage=at, state=state)
    assert len(sent.pull().rows) == (2 if taken else 0)


def test_ground_truth_and_replicas_are_nobodys_answers(sent: Sent) -> None:
    sent.done(type="ground_truth")
    assert len(sent.pull().rows) == 0


def test_the_same_answers_again_add_nothing_though_the_job_was_touched(sent: Sent) -> None:
    sent.done()
    labels = sent.pull().rows
    sent.done(stage="validation", state="new", assignee=BEN, updated_date="2026-01-05T12:00:00Z")
    again = sent.pull(labels)
    assert (len(again.rows), again.duplicates) == (0, 2)
    sent.draw(rectangle(WAVE, 1, 1, 1, 9, 9))  # the reviewer changes both
    corrected = sent.pull(labels)
    assert [(row["frame"], row["annotator"]) for row in corrected.rows.to_pylist()] == [(2, "anna"), (5, "anna")]
    assert len(corrected.corrections) == 2


def test_an_answer_that_is_taken_back_and_given_again_counts(sent: Sent) -> None:
    sent.done()
    labels = sent.pull().rows
    for day, shapes in ((5, [rectangle(WAVE, 1, 1, 1, 9, 9)]), (6, [])):
        sent.done(updated_date=f"2026-01-{day:02d}T12:00:00Z")
        sent.draw(*sent.server.tasks[2]["annotations"]["shapes"], *shapes)
        arrival = sent.pull(labels)
        labels = pa.concat_tables([labels, arrival.rows])
    last = [row for row in labels.to_pylist() if row["frame"] == 5]
    assert [len(row["boxes"]) for row in last] == [0, 1, 0]
    assert arrival.rows.to_pylist()[-1]["request"] == ID
