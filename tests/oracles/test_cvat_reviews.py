"""Reviews in CVAT of jobs whose frames two people answer, and what becomes of a request that is deleted there.

Oracle: what annotators and reviewers did in each job, told by hand, against the rows that come of it.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from requests_by_hand import ID, request
from test_cvat_jobs import ANNA, BEN, KICK, WAVE, Sent, rectangle, sent_to_a_server

from hybridal_ray.oracles.progress import progress_of
from hybridal_ray.pool import ledger
from hybridal_ray.pool.ledger import LABELS_SCHEMA

CARLA = {**ANNA, "id": 5, "username": "carla"}
Rows = list[tuple[int, str, str | None]]


class Reviewed:
    """Frames 2 and 5 in job 10, frame 5 in job 20 too, for a second annotator, and frame 7 in job 30."""

    def __init__(self, sent: Sent) -> None:
        self.sent = sent
        self.labels = LABELS_SCHEMA.empty_table()
        self.remarks: tuple[str, ...] = ()

    def pull(self) -> Rows:
        """What a pull adds: frame, annotator and standing."""
        arrival = self.sent.pull(self.labels)
        assert arrival.rejected == ()
        self.labels, self.remarks = pa.concat_tables([self.labels, arrival.rows]), arrival.remarks
        return [(row["frame"], row["annotator"], row["standing"]) for row in arrival.rows.to_pylist()]

    def complete(self) -> bool:
        return progress_of(self.sent.asked, self.labels).complete


@pytest.fixture(scope="module")
def on_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    with sent_to_a_server(request(str(tmp_path_factory.mktemp("run") / "start/request"), twice=(1,))) as sent:
        yield sent


@pytest.fixture
def reviewed(on_server: Sent) -> Reviewed:
    on_server.anew()
    return Reviewed(on_server)


def test_what_a_reviewer_corrects_stands_and_is_no_second_opinion(reviewed: Reviewed) -> None:
    sent = reviewed.sent
    sent.done(job=10)
    assert reviewed.pull() == [(2, "anna", None), (5, "anna", None)]
    sent.done(job=10, stage="validation", assignee=CARLA, updated_date="2026-01-03T12:00:00Z")
    sent.draw(*sent.server.tasks[1]["annotations"]["shapes"], rectangle(KICK, 1, 30, 10, 50, 30))
    assert reviewed.pull() == [(5, "anna", None)]
    assert [actor.class_id for actor in ledger.labels_by_video(reviewed.labels)["a"][5]] == [1]
    sent.done(job=20, assignee=BEN)
    sent.done(job=30)
    assert reviewed.pull() == [(5, "ben", "second opinion"), (7, "anna", None)]
    assert reviewed.complete()


@pytest.mark.parametrize("stage", ["annotation", "acceptance"])
def test_one_reviewer_of_both_jobs_leaves_two_opinions(
    reviewed: Reviewed, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the run takes answers before the review, and pulls them behind it alone."""
    monkeypatch.setattr(reviewed.sent.oracle, "_stage", stage)
    for job in (10, 20, 30):
        reviewed.sent.done(job=job, stage="acceptance", assignee=CARLA)
    expected = [(2, "carla", None), (5, "carla", None), (5, "carla (job 20)", "second opinion"), (7, "carla", None)]
    assert reviewed.pull() == expected
    assert reviewed.complete()
    assert reviewed.pull() == []
    reviewed.sent.draw(rectangle(WAVE, 0, 1, 1, 9, 9), task=2)
    assert reviewed.pull() == [(5, "carla (job 20)", "second opinion")]


def test_one_annotator_of_both_jobs_is_one(reviewed: Reviewed) -> None:
    for job in (10, 20, 30):
        reviewed.sent.done(job=job)
    reviewed.sent.draw(rectangle(WAVE, 0, 1, 1, 9, 9), task=2)
    assert {annotator for _, annotator, _ in reviewed.pull()} == {"anna"}
    assert progress_of(reviewed.sent.asked, reviewed.labels).answers_open == 1


def test_a_job_that_is_rejected_after_it_was_taken_is_told(reviewed: Reviewed) -> None:
    reviewed.sent.done(job=10)
    reviewed.pull()
    assert reviewed.remarks == ()
    reviewed.sent.done(job=10, state="rejected")
    assert reviewed.pull() == []
    (line,) = reviewed.remarks
    assert line.endswith(
        "/tasks/1: job 10: is rejected; what was taken of it before stands, and nothing more is taken until it is "
        "completed again"
    )


def test_what_was_deleted_on_the_server_is_told_and_made_anew(reviewed: Reviewed) -> None:
    """Oracle: the tasks, and then the project, that somebody deletes by hand."""
    sent, note = reviewed.sent, Path(reviewed.sent.asked.directory) / "cvat.json"
    end = f"delete {note} to have it made anew"
    del sent.server.tasks[2]
    source = f"{sent.server.url}/projects/1: request {ID}"
    assert [refused.line() for refused in sent.pull().rejected] == [
        f"{source}: task {ID}-video-000-2: found nothing, expected the task; {end}"
    ]
    project = sent.server.projects.pop(1)
    assert [refused.line() for refused in sent.pull().rejected] == [
        f"{sent.server.url}: request {ID}: project: found nothing, expected the project; {end}"
    ]
    sent.server.projects[1] = project
    written = note.read_text()
    note.unlink()
    assert sent.pull().rejected == ()  # it is not sent as a whole yet
    note.write_text(written)
