"""Trials in this process, against passes whose speed is set and a training that is counted."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.forecast import trial
from hybridal_ray.forecast.trial import frames_per_second, fresh_checkpoint, made_up_labels, spread, torch_threads
from hybridal_ray.pool.tables import Video


def videos(number: int, frames: int = 50) -> list[Video]:
    return [Video(f"v{n}", f"v{n}.mp4", "train", f"v{n}", frames, 64, 48) for n in range(number)]


@pytest.mark.parametrize(("per_video", "passed_over"), [(10.0, [1]), (1.0, [1, 3]), (0.01, [1, 8])])
def test_rate_of_as_many_videos_as_there_is_time_for(per_video: float, passed_over: list[int]) -> None:
    """Of videos that take so long each; the first shows for how many more there is time."""
    calls = []

    def run(some: Sequence[Video], out_dir: str) -> float:
        calls.append(len(some))
        assert Path(out_dir).parent.is_dir()
        return per_video * len(some)

    rate = frames_per_second(run, videos(9), seconds=3.5)
    assert rate == pytest.approx(50 / per_video)
    assert calls == passed_over


def test_made_up_labels_lie_inside_the_video() -> None:
    (of_long, of_short) = made_up_labels([*videos(1, 50), *videos(1, 2)], 4).labels
    assert (list(of_long), list(of_short)) == ([0, 16, 33, 49], [0, 1])
    assert of_long[0][0].box == (16.0, 12.0, 48.0, 36.0)


def test_spread_takes_both_ends() -> None:
    assert [video.video_id for video in spread(videos(9), 3)] == ["v0", "v4", "v8"]
    assert len(spread(videos(2), 8)) == 2


def test_fresh_checkpoint_is_a_detector_and_goes_away() -> None:
    spec = DetectorSpec("compact", 2, 32, 4, 1, {"width": 8, "pyramid_width": 8})
    with fresh_checkpoint(spec) as folder:
        assert load_detector(folder).spec.num_classes == 2
    assert not Path(folder).exists()


def test_threads_are_set_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(1):
        assert torch.get_num_threads() == 1
    with torch_threads(None):
        assert torch.get_num_threads() == before
    assert torch.get_num_threads() == before


def test_a_trial_of_training_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the training tells of epochs of 0.6 s, the first of 9 s; steps come three to an epoch."""
    told = []

    def train(task: Any, session: Any) -> None:
        for seconds in (9.0, *[0.6] * 10_000):
            told.append(seconds)
            time.sleep(0.001)
            session.epoch_done({"seconds": seconds}, {})

    monkeypatch.setattr(trial, "train", train)
    monkeypatch.setattr(trial, "replace", lambda value, **changes: value)
    task = type("Task", (), {"optimiser": None})()
    assert trial.seconds_per_step(task, torch.device("cpu"), seconds=0.05) == pytest.approx(0.2)
    assert 2 <= len(told) < 200
