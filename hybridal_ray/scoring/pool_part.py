"""A seeded part of a pool that is too large to be scored whole."""

import hashlib
import math
from collections.abc import Sequence
from typing import overload

import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.tables import Video


class PoolPart(Sequence[Video]):
    """Some videos of a sequence, made by it when they are asked for.

    Args:
        videos: The whole pool.
        places: (P,), which of them, ascending.
    """

    def __init__(self, videos: Sequence[Video], places: npt.NDArray[np.int64]) -> None:
        self._videos = videos
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> "PoolPart": ...
    def __getitem__(self, index: int | slice) -> "Video | PoolPart":
        if isinstance(index, slice):
            return PoolPart(self._videos, self._places[index])
        return self._videos[int(self._places[index])]


def seeded_part(videos: Sequence[Video], fraction: float, *, run_seed: int, round_index: int) -> Sequence[Video]:
    """The same part of a pool each time, another in each round; labelled videos are no more likely than others.

    Each video has a number, hashed from seed, round and id; those with the smallest are taken. So the order of the
    pool does not matter, a larger fraction contains a smaller one, and clusters keep their shares on average.

    Args:
        videos: The pool.
        fraction: In (0, 1]; rounded up to a whole number of videos.
        run_seed: Seed of the run.
        round_index: The round.
    """
    if fraction == 1:
        return videos
    numbers = np.fromiter((_number(video, run_seed, round_index) for video in videos), np.uint64, len(videos))
    wanted = math.ceil(fraction * len(videos))
    return PoolPart(videos, np.sort(np.argsort(numbers, kind="stable")[:wanted]))


def _number(video: Video, run_seed: int, round_index: int) -> int:
    key = f"pool part {run_seed} {round_index} {video.video_id}".encode()
    return int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little")
