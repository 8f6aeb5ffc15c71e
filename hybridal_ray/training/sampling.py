"""Which clips a training epoch sees: drawn around labelled frames, the same whatever the number of workers."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridal_ray.detectors.clips import clip_span


@dataclass(frozen=True)
class ClipDraw:
    """One clip of an epoch.

    Attributes:
        video: Index into the labelled videos.
        start: First frame.
        flipped: Whether it is mirrored left to right.
    """

    video: int
    start: int
    flipped: bool


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
    *,
    clips: int,
    clip_frames: int,
    clip_stride: int,
    flip: bool,
    generator: np.random.Generator,
) -> list[ClipDraw]:
    """Draws the clips of an epoch: every video equally often, then a labelled frame of it, then a clip that samples it.

    Args:
        labelled: Labelled frames of each labelled video, at least one each.
        num_frames: Frames of each labelled video.
        clips: How many to draw.
        clip_frames: T.
        clip_stride: Video frames from one frame of a clip to the next.
        flip: Whether half of the clips are mirrored.
        generator: Seeded by run, round and epoch.

    Returns:
        The clips in the order in which they are trained on.
    """
    passes = [generator.permutation(len(labelled)) for _ in range(-(-clips // len(labelled)))]
    draws = []
    for video in np.concatenate(passes)[:clips]:
        anchor = int(generator.choice(labelled[video]))
        starts = clip_starts(anchor, num_frames[video], clip_frames, clip_stride)
        draws.append(ClipDraw(int(video), int(generator.choice(starts)), flip and bool(generator.integers(2))))
    return draws


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
