"""How many actors there should be, and when one is late. Oracle: by hand, on clusters whose room the tests decide."""

import time
from collections import deque
from pathlib import Path

import pyarrow as pa
import pytest

from hybridal_ray.chunk_plan import Chunk
from hybridal_ray.chunks import Parts
from hybridal_ray.crew import ActorPlan, Crew, _Member
from hybridal_ray.pass_progress import Tally
from hybridal_ray.pool.tables import Video


class Room:
    """Stands for `cluster.room_for`, and counts how often it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.room, self.asked = room, 0
        monkeypatch.setattr("hybridal_ray.cluster.room_for", self)

    def __call__(self, cpus: float, gpus: float) -> int:
        self.asked += 1
        return self.room


def make_crew(tmp_path: Path, plan: ActorPlan) -> Crew:
    return Crew(dict, Parts(str(tmp_path), pa.schema([]), lambda video, reason: None), Tally(0, 0), plan)


def test_number_that_is_given_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(monkeypatch, 9)
    assert make_crew(tmp_path, ActorPlan(3))._wanted() == 3
    assert room.asked == 0


@pytest.mark.parametrize(("room", "may_grow", "wanted"), [(5, False, 5), (0, False, 1), (4, True, 8), (0, True, 1)])
def test_auto_is_the_room_there_is_and_with_an_autoscaler_as_much_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, may_grow: bool, wanted: int
) -> None:
    Room(monkeypatch, room)
    assert make_crew(tmp_path, ActorPlan("auto", may_grow=may_grow))._wanted() == wanted


def test_auto_grows_with_the_cluster_and_asks_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room(monkeypatch, 2)
    crew = make_crew(tmp_path, ActorPlan("auto"))
    assert [crew._wanted() for _ in range(50)] == [2] * 50
    assert room.asked == 1
    room.room = 6
    crew.room_asked -= 60
    assert crew._wanted() == 6


@pytest.mark.parametrize(("num_frames", "seconds", "late"), [(9, 11, True), (5000, 49, False), (5000, 51, True)])
def test_a_long_video_has_more_time_before_an_actor_is_late(
    tmp_path: Path, num_frames: int, seconds: float, late: bool
) -> None:
    crew = make_crew(tmp_path, ActorPlan(1, seconds_per_video=10))
    chunk = Chunk("part-0", (Video("v", "v", "train", "g", num_frames, 32, 24),))
    member = _Member(None, None, None, time.monotonic() - seconds, deque([(None, chunk)]))
    cause = crew._cause_of_death(member)
    assert ("scoring.seconds_per_video" in cause) is late
    assert (cause == "its process died") is not late
