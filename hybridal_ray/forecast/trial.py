"""Measuring a few steps and a few videos in this process, where a run has no finished stage to go by."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool import storage
from hybridal_ray.pool.ledger import LabelledBox, VideoLabels
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.task import LabelledVideos, State, TrainingTask
from hybridal_ray.training.worker import train

STEPS_AT_ONCE = 3
WITHOUT_END = 10**6  # epochs


class _Enough(Exception):
    """The measurement has taken long enough."""


@dataclass
class _TimedSession:
    """One worker in this process that keeps nothing but the time of each epoch."""

    device: torch.device
    until: float
    rank: int = 0
    world_size: int = 1

    def __post_init__(self) -> None:
        self.seconds: list[float] = []

    def wrap(self, detector: nn.Module) -> nn.Module:
        return detector.to(self.device)

    def resume(self) -> State | None:
        return None

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        self.seconds.append(metrics["seconds"])
        if time.perf_counter() > self.until and len(self.seconds) > 1:
            raise _Enough


def seconds_per_step(task: TrainingTask, device: torch.device, *, seconds: float) -> float:
    """Trains for a while, and throws away what was learnt.

    Args:
        task: With the share of a batch that one worker has; how long it trains does not matter.
        device: Where.
        seconds: After so long, it ends with the next few steps.

    Returns:
        The median, without the first steps, in which frames are decoded and memory is laid out.
    """
    optimiser = replace(task.optimiser, epochs=WITHOUT_END, steps_per_epoch=STEPS_AT_ONCE, compile=False)
    session = _TimedSession(device, time.perf_counter() + seconds)
    with suppress(_Enough):
        train(replace(task, optimiser=optimiser), session)
    return float(np.median(session.seconds[1:])) / STEPS_AT_ONCE


def frames_per_second(
    run: Callable[[Sequence[Video], str], float], videos: Sequence[Video], *, seconds: float
) -> float:
    """The rate of a pass over videos, from one video and then as many as there is time for.

    Args:
        run: Passes over some videos, leaves its files below a directory, and returns the seconds that it took.
        videos: To choose from, one or more.
        seconds: To spend on those behind the first.
    """
    with tempfile.TemporaryDirectory() as folder:
        taken = run(videos[:1], storage.join(folder, "first"))
        more = videos[1 : 1 + int(seconds / max(taken, 1e-3))]
        if not more:
            return videos[0].num_frames / taken
        return sum(video.num_frames for video in more) / run(more, storage.join(folder, "more"))


@contextmanager
def fresh_checkpoint(spec: DetectorSpec) -> Iterator[str]:
    """The directory of a detector with random weights, which takes as long as a trained one."""
    with tempfile.TemporaryDirectory() as folder:
        save_detector(folder, spec, build_detector(spec).state_dict(), centres=None)
        yield folder


@contextmanager
def torch_threads(number: int | None) -> Iterator[None]:
    """So many threads for torch as an actor has; None leaves them as they are."""
    before = torch.get_num_threads()
    torch.set_num_threads(before if number is None else number)
    yield
    torch.set_num_threads(before)


def spread(videos: Sequence[Video], number: int) -> list[Video]:
    """Some videos, spread evenly over the pool."""
    places = np.linspace(0, len(videos) - 1, min(number, len(videos))).round().astype(int)
    return [videos[int(place)] for place in places]


def made_up_labels(videos: Sequence[Video], frames_per_video: int) -> LabelledVideos:
    """A box in the middle of a few frames of each video: what a step costs does not depend on what is labelled."""
    return LabelledVideos(videos, [_labels(video, frames_per_video) for video in videos])


def _labels(video: Video, number: int) -> VideoLabels:
    width, height = video.width, video.height
    actor = LabelledBox("trial", 0, (width / 4, height / 4, 3 * width / 4, 3 * height / 4), None)
    frames = np.linspace(0, video.num_frames - 1, min(number, video.num_frames)).round().astype(int)
    return {int(frame): (actor,) for frame in frames}
