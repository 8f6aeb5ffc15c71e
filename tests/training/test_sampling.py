"""Oracles: the frames of a drawn clip looked up one by one; counts of how often a video comes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.detectors.clips import clip_at, clip_span
from hybridal_ray.training.sampling import ClipDraw, clip_starts, draw_epoch, mix_in_unlabelled, worker_share
from hybridal_ray.training.settings import SamplingSettings

clip_sizes = {"clip_frames": st.integers(1, 9), "clip_stride": st.integers(1, 4)}


def draw(seed: int = 0, clips: int = 60, **changes) -> list[ClipDraw]:
    arguments = {
        "labelled": [[3, 20], [0], [39], [7, 8, 9]],
        "num_frames": [30, 40, 40, 12],
        "clips": clips,
        "clip_frames": 4,
        "clip_stride": 2,
        "generator": np.random.default_rng(seed),
        "classes": [[0], [0, 1], [0], []],
        "sampling": SamplingSettings(),
    } | changes
    lists = [arguments.pop(name) for name in ("labelled", "num_frames", "classes")]
    return draw_epoch(*lists, **arguments)


@given(num_frames=st.integers(1, 60), data=st.data(), **clip_sizes)
def test_a_clip_samples_its_labelled_frame_and_stays_inside_where_it_can(
    num_frames: int, data: st.DataObject, clip_frames: int, clip_stride: int
) -> None:
    anchor = data.draw(st.integers(0, num_frames - 1))
    starts = clip_starts(anchor, num_frames, clip_frames, clip_stride)
    span = clip_span(clip_frames, clip_stride)
    possible = [
        start
        for start in range(num_frames)
        if start + span <= num_frames and anchor in range(start, start + span, clip_stride)
    ]
    if possible:
        assert starts == possible
    else:
        assert len(starts) == 1
    for start in starts:
        assert anchor in clip_at(start, num_frames, clip_frames, clip_stride)


def test_every_drawn_clip_samples_a_labelled_frame() -> None:
    labelled, num_frames = [[3, 20], [0], [39], [7, 8, 9]], [30, 40, 40, 12]
    for clip in draw(clips=200):
        frames = clip_at(clip.start, num_frames[clip.video], 4, 2)
        assert set(frames.tolist()) & set(labelled[clip.video])


@given(st.integers(1, 50), st.integers(0, 5))
def test_every_video_comes_equally_often(clips: int, seed: int) -> None:
    times = Counter(clip.video for clip in draw(seed, clips))
    assert sum(times.values()) == clips
    counts = [times[video] for video in range(4)]
    assert max(counts) - min(counts) <= 1


def test_labelled_frames_starts_and_sides_all_come_up() -> None:
    clips = draw(clips=800)
    assert {clip.start for clip in clips if clip.video == 0} == {1, 3} | {14, 16, 18, 20}
    assert 0.4 < np.mean([clip.flipped for clip in clips]) < 0.6
    assert not any(clip.flipped for clip in draw(sampling=SamplingSettings(flip=False)))


def test_the_draw_follows_from_its_generator() -> None:
    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_shares_of_the_workers_put_together_are_the_batches(world_size: int) -> None:
    draws = draw(clips=30)
    shares = [worker_share(draws, 8, rank, world_size) for rank in range(world_size)]
    steps = [[clip for share in shares for clip in share[step]] for step in range(3)]
    assert steps == [draws[0:8], draws[8:16], draws[16:24]]  # the six that fill no batch are left out
    assert {len(share) for share in shares} == {3}
    assert {len(step) for share in shares for step in share} == {8 // world_size}


def test_every_class_comes_equally_often_and_so_do_the_videos_of_each() -> None:
    # Class 0 has three videos of its own, class 1 one, nobody acts in the fifth.
    clips = draw(
        clips=300,
        labelled=[[1]] * 5,
        num_frames=[20] * 5,
        classes=[[0], [0, 0], [0], [1], []],
        sampling=SamplingSettings(balance_classes=True),
    )
    times = Counter(clip.video for clip in clips)
    assert [times[video] for video in range(5)] == pytest.approx([33, 33, 33, 100, 100], abs=1)


def test_crops_lie_in_the_picture_and_use_its_whole_range() -> None:
    crops = np.array([clip.crop for clip in draw(clips=600, sampling=SamplingSettings(crop=0.4))])
    left, top, side = crops.T
    assert (side >= 0.6).all()
    assert side.min() < 0.62
    assert side.max() > 0.98
    assert (np.stack([left, top]) >= 0).all()
    assert (np.stack([left, top]) + side <= 1 + 1e-9).all()
    assert left.max() > 0.3
    assert {clip.crop for clip in draw()} == {(0.0, 0.0, 1.0)}


@given(st.integers(0, 9), st.floats(0, 0.9), st.sampled_from([2, 4, 8]))
def test_unlabelled_videos_take_the_end_of_every_batch(seed: int, share: float, batch_size: int) -> None:
    draws = draw(seed, clips=40)
    lengths = [5, 30, 9]
    mixed = mix_in_unlabelled(
        draws,
        lengths,
        first=4,
        batch_size=batch_size,
        clip_frames=4,
        clip_stride=2,
        sampling=SamplingSettings(unlabelled=share),
        generator=np.random.default_rng(seed),
    )
    taken = round(share * batch_size)
    for place, (before, after) in enumerate(zip(draws, mixed, strict=True)):
        if place % batch_size < batch_size - taken:
            assert after == before
        else:
            assert after.video >= 4
            assert 0 <= after.start <= max(lengths[after.video - 4] - 7, 0)
    times = Counter(clip.video for clip in mixed if clip.video >= 4)
    assert max(times.values(), default=0) - min((times[4 + video] for video in range(3)), default=0) <= 1
