"""Oracles: the pictures as they were drawn, boxes where they were put, and weights of frames looked up one by one."""

import dataclasses
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up_labels import SIDE, SPEC, actor, picture, square, write_video

from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.batches import ClipSource, TrainingBatch, prefetched
from hybridal_ray.training.sampling import ClipDraw
from hybridal_ray.training.settings import LossSettings
from hybridal_ray.training.stew import temporal_weights

LENGTH = 12


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder, 0, LENGTH), write_video(folder, 1, 3)]


def source_of(videos: list[Video], loss: LossSettings | None = None) -> ClipSource:
    """The longer video labelled on frames 0 and 8, the shorter one on its first, where two act."""
    labels = [
        {frame: (actor("a", *square(0, frame), class_id=1),) for frame in (0, 8)},
        {0: (actor("a", *square(1, 0)), actor("b", 0, 0, 4, 4, class_id=1))},
    ]
    return ClipSource(videos, labels, SPEC, loss or LossSettings(), FrameCache(2**24, SIDE))


def foreground_of(frame: int) -> np.ndarray:
    """Of the longer video: its square moves evenly, so that the interpolated box is the true one up to frame 8."""
    x1, y1, x2, y2 = square(0, min(frame, 8))
    mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
    mask[y1:y2, x1:x2] = 1
    return mask


def test_a_clip_is_decoded_and_labelled_frame_by_frame(videos: list[Video]) -> None:
    batch = source_of(videos).batch([ClipDraw(0, 4, False), ClipDraw(0, 0, False)])
    for clip, start in zip(range(2), (4, 0), strict=True):
        for position, frame in enumerate(range(start, start + 8, 2)):
            np.testing.assert_array_equal(batch.frames[clip, position], picture(0, frame))
            np.testing.assert_array_equal(batch.instances[clip, position], foreground_of(frame))
    assert (batch.frames.dtype, batch.instances.dtype, batch.weights.dtype) == (
        torch.uint8,
        torch.int16,
        torch.float32,
    )
    assert batch.actor_classes.tolist() == [[1], [1]]


@pytest.mark.parametrize("start", range(6))
def test_windows_reach_beyond_the_clip_but_not_beyond_the_video(videos: list[Video], start: int) -> None:
    found = source_of(videos).batch([ClipDraw(0, start, False)]).weights[0].numpy()
    for position, frame in enumerate(range(start, start + 8, 2)):
        window = [foreground_of(f) for f in range(frame - 4, frame + 5, 2) if 0 <= f < LENGTH]
        mean = np.mean(window, axis=0)
        spatial = np.where((mean == 0) | (mean == 1) | (frame in (0, 8)), 1.0, mean)
        temporal = temporal_weights(np.array([frame]), [0, 8], sigma=4 / 3, stride=2)[0]
        np.testing.assert_allclose(found[position], temporal * spatial, atol=1e-6)


def test_a_flip_mirrors_pixels_instances_and_weights_alike(videos: list[Video]) -> None:
    plain, flipped = (source_of(videos).batch([ClipDraw(0, 2, side)]) for side in (False, True))
    assert torch.equal(flipped.frames, plain.frames.flip(3))
    assert torch.equal(flipped.instances, plain.instances.flip(3))
    assert torch.equal(flipped.weights, plain.weights.flip(3))
    assert not torch.equal(flipped.weights, plain.weights)
    assert torch.equal(flipped.actor_classes, plain.actor_classes)


def test_classes_are_padded_to_the_clip_with_most_actors(videos: list[Video]) -> None:
    batch = source_of(videos).batch([ClipDraw(0, 0, False), ClipDraw(1, 0, False)])
    assert batch.actor_classes.tolist() == [[1, -1], [0, 1]]
    assert set(batch.instances[1].unique().tolist()) == {0, 1, 2}
    nobody = ClipSource(videos[:1], [{0: ()}], SPEC, LossSettings(), FrameCache(0, SIDE)).batch([ClipDraw(0, 0, False)])
    assert nobody.actor_classes.shape == (1, 0)
    assert nobody.instances.max() == 0


def test_of_the_many_actors_of_a_video_those_of_the_clip_are_numbered(videos: list[Video]) -> None:
    """300 tubes, each on one labelled frame and on a pixel of its own: 12 of them are in the clip."""
    labels = {
        frame: tuple(actor(f"{frame}-{i}", 4 * i, 0, 4 * i + 4, 4, class_id=i % 2) for i in range(3))
        for frame in range(100)
    }
    long = dataclasses.replace(videos[0], num_frames=100)
    source = ClipSource([long], [labels], SPEC, LossSettings(), FrameCache(2**24, SIDE))
    batch = source.batch([ClipDraw(0, 0, False)])
    assert len(source.classes(0)) == 300
    assert batch.instances.unique().tolist() == list(range(13))
    assert sorted(batch.actor_classes[0].tolist()) == [0] * 8 + [1] * 4
    for number, class_id in enumerate(batch.actor_classes[0].tolist(), 1):
        where = (batch.instances[0] == number).nonzero()
        assert len(where) == 16  # one frame, four by four pixels
        assert int(where[0, 2]) // 4 % 2 == class_id


@pytest.mark.parametrize("window", [0, 2])
def test_a_video_shorter_than_a_clip_repeats_its_last_frame_with_finite_weights(
    videos: list[Video], window: int
) -> None:
    batch = source_of(videos, LossSettings(window=window)).batch([ClipDraw(1, 0, False)])
    for position, frame in enumerate([0, 2, 2, 2]):
        np.testing.assert_array_equal(batch.frames[0, position], picture(1, frame))
    assert torch.equal(batch.instances[0, 1], batch.instances[0, 3])
    assert torch.isfinite(batch.weights).all()
    assert (batch.weights > 0).all()


class CountingSource:
    """Numbers its batches and notes what was made, and in which thread."""

    def __init__(self, fail_at: int | None = None, seconds: float = 0.0) -> None:
        self.made: list[int] = []
        self.threads: set[threading.Thread] = set()
        self.fail_at = fail_at
        self.seconds = seconds

    def batch(self, draws: list[int]) -> TrainingBatch:
        if draws[0] == self.fail_at:
            raise UnreadableVideo("video.mp4", "cut off")
        time.sleep(self.seconds)
        self.made.append(draws[0])
        self.threads.add(threading.current_thread())
        return TrainingBatch(torch.tensor(draws), *[torch.empty(0)] * 3)


def test_batches_come_in_order_out_of_another_thread_that_ends_with_them() -> None:
    source = CountingSource()
    batches = prefetched(source, [[number] for number in range(7)], ahead=3)
    assert [batch.frames.item() for batch in batches] == list(range(7))
    assert source.made == list(range(7))
    assert threading.current_thread() not in source.threads
    assert not any(thread.is_alive() for thread in source.threads)


def test_no_more_is_made_than_is_kept_ready_and_the_thread_ends_when_training_stops() -> None:
    source = CountingSource()
    batches = prefetched(source, [[number] for number in range(100)], ahead=2)
    next(batches)
    deadline = time.monotonic() + 5
    while len(source.made) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert source.made == [0, 1, 2, 3]
    batches.close()
    assert not any(thread.is_alive() for thread in source.threads)


def test_several_threads_make_batches_at_once_and_keep_their_order() -> None:
    source = CountingSource(seconds=0.2)
    started = time.monotonic()
    batches = prefetched(source, [[number] for number in range(12)], threads=4)
    assert [batch.frames.item() for batch in batches] == list(range(12))
    assert time.monotonic() - started < 0.8 * 12 * 0.2
    assert len(source.threads) == 4


def test_batches_not_begun_when_training_stops_are_not_made() -> None:
    source = CountingSource(seconds=0.1)
    batches = prefetched(source, [[number] for number in range(100)], ahead=5)
    next(batches)
    batches.close()
    assert len(source.made) <= 2  # the one that was handed out, and the one under way


def test_an_error_of_the_thread_reaches_training_at_its_step() -> None:
    batches = prefetched(CountingSource(fail_at=2), [[number] for number in range(5)], ahead=3)
    assert [next(batches).frames.item(), next(batches).frames.item()] == [0, 1]
    with pytest.raises(UnreadableVideo, match="cut off"):
        next(batches)


def test_videos_without_labels_take_no_room_from_those_with(
    videos: list[Video], monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, bool] = {}
    cache = FrameCache(2**24, SIDE)
    true = cache.clip

    def clip(uri: str, frames: np.ndarray, keep: bool) -> np.ndarray:
        kept[uri] = keep
        return true(uri, frames, keep)

    monkeypatch.setattr(cache, "clip", clip)
    source = ClipSource(videos, [{0: ()}, {}], SPEC, LossSettings(), cache)
    source.batch([ClipDraw(video, 0, False) for video in range(2)])
    assert [kept[video.uri] for video in videos] == [True, False]


def test_a_labelled_video_that_is_gone_is_named(tmp_path: Path, videos: list[Video]) -> None:
    lost = Video("lost", str(tmp_path / "lost.mp4"), "train", "g", 12, SIDE, SIDE)
    source = ClipSource([lost], [{0: ()}], SPEC, LossSettings(), FrameCache(0, SIDE))
    with pytest.raises(UnreadableVideo, match=r"lost\.mp4"):
        source.batch([ClipDraw(0, 0, False)])
