"""Which clips a training epoch sees: drawn around labelled frames, the same whatever the number of workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridal_ray.detectors.clips import clip_span
from hybridal_ray.training.settings import SamplingSettings

WHOLE = (0.0, 0.0, 1.0)  # a crop that leaves the picture as it is


@dataclass(frozen=True)
class ClipDraw:
    """One clip of an epoch.

    Attributes:
        video: Index into the labelled videos.
        start: First frame.
        flipped: Whether it is mirrored left to right.
        crop: Left, top and side of the part of the picture that is seen, as shares of it, after mirroring.
    """

    video: int
    start: int
    flipped: bool
    crop: tuple[float, float, float] = WHOLE


def clip_starts(anchor: int, num_frames: int, clip_frames: int, clip_stride: int) -> list[int]:
    """Where a clip may start so that it samples a given frame and stays inside the video.

    Args:
        anchor: The frame to be sampled.
        num_frames: Frames of the video.
        clip_frames: T.
        clip_stride: Video frames from one frame of the clip to the next.

    Returns:
        Ascending starts; a video too short for a clip gives the one start at which its end frames repeat.
    """
    last_start = num_frames - clip_span(clip_frames, clip_stride)
    starts = [anchor - clip_stride * position for position in range(clip_frames)]
    inside = sorted(start for start in starts if 0 <= start <= last_start)
    return inside or [anchor % clip_stride]


def draw_epoch(
    labelled: Sequence[Sequence[int]],
    num_frames: Sequence[int],
    classes: Sequence[Sequence[int]],
    *,
    clips: int,
    clip_frames: int,
    clip_stride: int,
    sampling: SamplingSettings,
    generator: np.random.Generator,
) -> list[ClipDraw]:
    """Draws the clips of an epoch: a video, then a labelled frame of it, then a clip that samples it.

    Args:
        labelled: Labelled frames of each labelled video, at least one each.
        num_frames: Frames of each labelled video.
        classes: Class ids of the actors of each labelled video.
        clips: How many to draw.
        clip_frames: T.
        clip_stride: Video frames from one frame of a clip to the next.
        sampling: Every video or every class equally often; mirroring and crops.
        generator: Seeded by run, round and epoch.

    Returns:
        The clips in the order in which they are trained on.
    """
    order = (
        _by_class(classes, clips, generator) if sampling.balance_classes else _in_turn(len(labelled), clips, generator)
    )
    draws = []
    for video in order:
        anchor = int(generator.choice(labelled[video]))
        start = int(generator.choice(clip_starts(anchor, num_frames[video], clip_frames, clip_stride)))
        draws.append(_draw(int(video), start, sampling, generator))
    return draws


def mix_in_unlabelled(
    draws: Sequence[ClipDraw],
    num_frames: Sequence[int],
    *,
    first: int,
    batch_size: int,
    clip_frames: int,
    clip_stride: int,
    sampling: SamplingSettings,
    generator: np.random.Generator,
) -> list[ClipDraw]:
    """Gives the last clips of each batch to unlabelled videos, each of them equally often.

    Args:
        draws: The clips of labelled videos.
        num_frames: Frames of each unlabelled video, at least one video.
        first: Index of the first of them, where they follow the labelled videos.
        batch_size: Clips in a batch over all workers.
        clip_frames: T.
        clip_stride: Video frames from one frame of a clip to the next.
        sampling: `unlabelled` says how many.
        generator: Seeded by run, round and epoch.
    """
    per_batch = round(sampling.unlabelled * batch_size)
    batches = len(draws) // batch_size
    videos = iter(_in_turn(len(num_frames), batches * per_batch, generator))
    mixed = list(draws)
    for batch in range(batches):
        for place in range((batch + 1) * batch_size - per_batch, (batch + 1) * batch_size):
            video = int(next(videos))
            last_start = max(num_frames[video] - clip_span(clip_frames, clip_stride), 0)
            start = int(generator.integers(last_start + 1))
            mixed[place] = _draw(first + video, start, sampling, generator)
    return mixed


def worker_share(draws: Sequence[ClipDraw], batch_size: int, rank: int, world_size: int) -> list[Sequence[ClipDraw]]:
    """The part of every batch that one worker trains on.

    Args:
        draws: The epoch's clips.
        batch_size: Clips in a batch over all workers; a multiple of `world_size`.
        rank: Which worker, from 0.
        world_size: Number of workers.

    Returns:
        One slice of ``batch_size / world_size`` clips a step; put together over the ranks they are the batches.
    """
    share = batch_size // world_size
    return [
        draws[first + rank * share : first + (rank + 1) * share]
        for first in range(0, len(draws) - batch_size + 1, batch_size)
    ]


def _in_turn(videos: int, clips: int, generator: np.random.Generator) -> list[int]:
    """Every video equally often, in an order that is new each time round."""
    passes = [generator.permutation(videos) for _ in range(-(-clips // videos))]
    return np.concatenate(passes)[:clips].tolist() if passes else []


def _by_class(classes: Sequence[Sequence[int]], clips: int, generator: np.random.Generator) -> list[int]:
    """Every class equally often, and each video of a class; videos without actors are a class of their own."""
    members: dict[int, list[int]] = {}
    for video, of_video in enumerate(classes):
        for class_id in set(of_video) or {-1}:
            members.setdefault(class_id, []).append(video)
    groups = [members[class_id] for class_id in sorted(members)]
    turns = _in_turn(len(groups), clips, generator)
    queues = [iter(_in_turn(len(group), turns.count(index), generator)) for index, group in enumerate(groups)]
    return [groups[index][next(queues[index])] for index in turns]


def _draw(video: int, start: int, sampling: SamplingSettings, generator: np.random.Generator) -> ClipDraw:
    flipped = sampling.flip and bool(generator.integers(2))
    if sampling.crop == 0.0:
        return ClipDraw(video, start, flipped)
    side = 1.0 - sampling.crop * float(generator.random())
    left, top = ((1.0 - side) * generator.random(2)).tolist()
    return ClipDraw(video, start, flipped, (left, top, side))
