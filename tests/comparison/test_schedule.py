"""Oracle: the order and the errors that the jobs' needs allow, worked out by hand."""

import functools
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hybridal_ray.comparison.schedule import InProcess, OnRay, run_jobs
from hybridal_ray.comparison.work import Job, attempt
from hybridal_ray.errors import UserError


class Rehearsal:
    """A crew of so many places that ends jobs in the order in which they began."""

    def __init__(self, places: int) -> None:
        self.places, self.running, self.most = places, [], 0
        self.begun: list[str] = []
        self.stopped = False

    def has_room(self) -> bool:
        return len(self.running) < self.places

    def begin(self, job: Job) -> None:
        self.running.append(job)
        self.begun.append(job.name)
        self.most = max(self.most, len(self.running))

    def await_one(self) -> tuple[Job, str | None]:
        job = self.running.pop(0)
        return job, attempt(job)

    def stop(self) -> None:
        self.stopped = True


def nothing() -> None:
    """Work that succeeds."""


def fails() -> None:
    raise UserError("the pool is gone")


def crashes() -> None:
    raise ZeroDivisionError("division\nby zero")


def tell_tracking(location: str) -> None:
    Path(location).write_text(os.environ["MLFLOW_TRACKING_URI"])


def job(name: str, *needs: str, work: Callable[[], None] = nothing) -> Job:
    return Job(name, needs, work, None)


GRID = [job("first-0"), job("a-0", "first-0"), job("b-0", "first-0"), job("first-1"), job("a-1", "first-1"), job("c")]


def run(jobs: list[Job], crew) -> dict[str, str | None]:
    ended: dict[str, str | None] = {}
    run_jobs(jobs, crew, lambda job, error: ended.update({job.name: error}))
    return ended


def test_one_place_keeps_the_order() -> None:
    crew = Rehearsal(1)

    assert list(run(GRID, crew)) == [each.name for each in GRID]
    assert crew.stopped


def test_places_are_filled_with_the_first_that_can_begin() -> None:
    """Two places: while first-0 is at work, first-1 and c are all that can begin beside it."""
    crew = Rehearsal(2)
    ended = run(GRID, crew)

    assert crew.begun == ["first-0", "first-1", "a-0", "b-0", "a-1", "c"]
    assert set(ended.values()) == {None}
    assert crew.most == 2


def test_what_needs_a_failed_job_fails_with_it_and_the_others_go_on() -> None:
    jobs = [job("first-0", work=fails), *GRID[1:]]
    crew = Rehearsal(2)
    ended = run(jobs, crew)

    assert ended["first-0"] == "the pool is gone"
    assert ended["a-0"] == ended["b-0"] == "first-0 failed: the pool is gone"
    assert [ended[name] for name in ("first-1", "a-1", "c")] == [None, None, None]
    assert "a-0" not in crew.begun


def test_a_crash_is_told_in_one_line() -> None:
    assert run([job("a", work=crashes), job("b")], InProcess()) == {
        "a": "ZeroDivisionError: division by zero", "b": None,
    }  # fmt: skip


def test_what_interrupts_the_driver_stops_the_crew() -> None:
    crew = Rehearsal(1)

    def interrupted(job: Job, error: str | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_jobs(GRID, crew, interrupted)
    assert crew.stopped


def touch(path: str) -> None:
    with open(path, "a") as file:
        file.write("x")


def die_once(path: str) -> None:
    """Takes its worker down the first time it is called."""
    import os

    with open(path, "a+") as file:
        file.seek(0)
        before = file.read()
        file.write("x")
    if not before:
        os._exit(1)


@pytest.mark.ray
def test_tasks_on_a_cluster(ray_cluster: None, tmp_path) -> None:
    """A worker that is lost costs one more attempt, an error none."""
    jobs = [
        job("a", work=functools.partial(touch, str(tmp_path / "a"))),
        job("b", "a", work=functools.partial(die_once, str(tmp_path / "b"))),
        job("c", work=fails),
    ]
    ended = run(jobs, OnRay(cpus=1, gpus=0, at_once=None, may_grow=False))

    assert ended == {"a": None, "b": None, "c": "the pool is gone"}
    assert (tmp_path / "a").read_text() == "x"
    assert (tmp_path / "b").read_text() == "xx"


@pytest.mark.ray
def test_tasks_track_where_this_process_does(ray_cluster: None, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cluster was started without the variable."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5999")
    work = functools.partial(tell_tracking, str(tmp_path / "told"))
    assert run([job("a", work=work)], OnRay(cpus=1, gpus=0, at_once=None, may_grow=False)) == {"a": None}
    assert (tmp_path / "told").read_text() == "http://127.0.0.1:5999"


@pytest.mark.ray
def test_a_cluster_without_room_is_refused(ray_cluster: None) -> None:
    with pytest.raises(UserError, match="cpus_per_run=1: asks for 1 processes of 64 CPU"):
        OnRay(cpus=64, gpus=0, at_once=None, may_grow=False)
