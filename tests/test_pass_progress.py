"""Counts and rates by hand, with a clock that the tests turn; Ray's metrics read from where Prometheus reads them."""

from pathlib import Path

import pytest

from hybridal_ray.pass_progress import PassProgress, ProgressFile, Tally, duration, read_progress


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_rate_is_that_of_this_attempt_and_time_left_is_by_frames() -> None:
    clock = Clock()
    told: list[PassProgress] = []
    tally = Tally(10, 1000, (told.append,), clock)
    tally.count(4, 400, {"a": "torn"}, earlier=True)
    assert told == []
    tally.tell()
    clock.now += 10
    tally.count(2, 100, {"b": "late"})
    assert told[0] == PassProgress(4, 10, 400, 1000, 1, 0.0, 0.0, None)
    assert told[1] == PassProgress(6, 10, 500, 1000, 2, 10.0, 10.0, 50.0)
    assert told[1].line() == "6 of 10 videos, 500 frames, 10 frames/s, 50 s left, 2 failed"
    assert told[0].line() == "4 of 10 videos, 400 frames, 1 failed"
    assert tally.failed == {"a": "torn", "b": "late"}


def test_file_is_written_now_and_then_and_at_the_end(tmp_path: Path) -> None:
    clock = Clock()
    file = ProgressFile(str(tmp_path), clock)
    tally = Tally(3, 30, (file,), clock)

    def written() -> int:
        found = read_progress(str(tmp_path))
        assert found is not None
        return found[0].videos_done

    assert read_progress(str(tmp_path)) is None
    tally.tell()
    assert written() == 0
    tally.count(1, 10, {})
    assert written() == 0
    clock.now += 6
    tally.count(1, 10, {})
    assert written() == 2
    tally.count(1, 10, {})
    assert written() == 3


def test_file_that_cannot_be_written_does_not_stop_a_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(location: str, content: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hybridal_ray.pool.storage.write_json", full)
    Tally(3, 30, (ProgressFile(str(tmp_path)),)).tell()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("seconds", "said"), [(40, "40 s"), (720, "12 min"), (12600, "3.5 h")])
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said
