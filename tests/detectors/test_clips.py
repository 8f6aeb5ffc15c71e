"""Oracle: a set of the frames that a loop over the clips visits, and clips written out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.detectors.clips import clip_at, clip_span, tile_clips

lengths = st.integers(1, 200)
sizes = st.integers(1, 12)
strides = st.integers(1, 5)


@given(lengths, sizes, strides)
def test_every_frame_is_in_some_clip(num_frames: int, clip_frames: int, clip_stride: int) -> None:
    seen = {int(frame) for clip in tile_clips(num_frames, clip_frames, clip_stride) for frame in clip}
    assert seen == set(range(num_frames))


@given(lengths, sizes, strides)
def test_a_clip_is_evenly_spaced_until_its_last_frame_repeats(num_frames: int, clip_frames: int, stride: int) -> None:
    for clip in tile_clips(num_frames, clip_frames, stride).tolist():
        expected = [min(clip[0] + stride * position, num_frames - 1) for position in range(clip_frames)]
        assert clip == expected


@given(lengths, sizes, strides)
def test_a_video_is_not_covered_more_often_than_needed(num_frames: int, clip_frames: int, stride: int) -> None:
    block = clip_frames * stride
    blocks = 1
    while blocks * block < num_frames:
        blocks += 1
    assert len(tile_clips(num_frames, clip_frames, stride)) == (blocks * stride if num_frames > 1 else 1)


@pytest.mark.parametrize(
    ("num_frames", "expected"),
    [
        (4, [[0, 2], [1, 3]]),
        (5, [[0, 2], [1, 3], [1, 3], [2, 4]]),  # the second block is moved back to end with the video
        (3, [[0, 2], [1, 2]]),
        (1, [[0, 0]]),
    ],
)
def test_clips_of_two_frames_at_stride_two(num_frames: int, expected: list[list[int]]) -> None:
    np.testing.assert_array_equal(tile_clips(num_frames, clip_frames=2, clip_stride=2), expected)


def test_a_clip_that_reaches_beyond_the_video_repeats_its_ends() -> None:
    np.testing.assert_array_equal(clip_at(-3, 5, clip_frames=5, clip_stride=2), [0, 0, 1, 3, 4])


@given(sizes, strides)
def test_the_span_is_counted_on_the_clip_itself(clip_frames: int, clip_stride: int) -> None:
    clip = clip_at(0, 1000, clip_frames, clip_stride)
    assert clip_span(clip_frames, clip_stride) == len(range(int(clip[0]), int(clip[-1]) + 1))
