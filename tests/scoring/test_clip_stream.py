"""Oracles: the whole video held in memory and indexed; a count of the frames that are alive."""

import weakref
from collections.abc import Iterator

import numpy as np
import pytest

from hybridal_ray.detectors.clips import tile_clips
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.scoring.clip_stream import ClipStream

FRAMES = np.random.default_rng(0).integers(0, 256, (45, 2, 3, 3), dtype=np.uint8)
CLIPS = tile_clips(45, 4, 2)


@pytest.mark.parametrize("per_batch", [1, 2, 5, 100])
def test_clips_are_those_of_the_whole_video(per_batch: int) -> None:
    stream = ClipStream(iter(FRAMES), CLIPS, "uri")
    batches = [stream.pixels(slice(start, start + per_batch)) for start in range(0, len(CLIPS), per_batch)]
    np.testing.assert_array_equal(np.concatenate(batches), FRAMES[CLIPS])


@pytest.mark.parametrize("wanted", [[0, 5, 6], [3], [len(CLIPS) - 1], [1, len(CLIPS) - 1]])
def test_clips_may_be_left_out(wanted: list[int]) -> None:
    stream = ClipStream(iter(FRAMES), CLIPS, "uri")
    for row in wanted:
        np.testing.assert_array_equal(stream.pixels(slice(row, row + 1)), FRAMES[CLIPS[row : row + 1]])


def test_no_more_is_read_than_clips_need() -> None:
    read: list[int] = []

    def frames() -> Iterator[np.ndarray]:
        for index, frame in enumerate(FRAMES):
            read.append(index)
            yield frame

    stream = ClipStream(frames(), CLIPS, "uri")
    assert read == []
    stream.pixels(slice(2, 3))
    assert read == list(range(CLIPS[2].max() + 1))


def test_a_stream_that_ends_early_is_unreadable() -> None:
    stream = ClipStream(iter(FRAMES[:12]), CLIPS, "walk.mp4")
    stream.pixels(slice(0, 1))
    with pytest.raises(UnreadableVideo, match=r"walk\.mp4: frame 44 was asked for, but only 12 frames"):
        stream.pixels(slice(4, 5))


def most_frames_alive(num_frames: int, step: int) -> int:
    alive: set[int] = set()
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for index in range(num_frames):
            frame = np.zeros((2, 2, 3), dtype=np.uint8)
            alive.add(index)
            weakref.finalize(frame, alive.discard, index)
            most = max(most, len(alive))
            yield frame

    clips = tile_clips(num_frames, 8, 2)
    stream = ClipStream(frames(), clips, "uri")
    for start in range(0, len(clips), step):
        stream.pixels(slice(start, min(start + 4, len(clips))))
    return most


@pytest.mark.parametrize("step", [4, 24])  # every clip, and one batch in six
def test_memory_does_not_grow_with_the_length_of_the_video(step: int) -> None:
    short, long = most_frames_alive(400, step), most_frames_alive(2000, step)
    assert long <= short <= 100 - 32
