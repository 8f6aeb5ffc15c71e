"""Oracles: `read_frames` of the same file; a list of what is kept, by hand."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from encoded_videos import encode
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.pool import frame_cache
from hybridal_ray.pool.decoding import UnreadableVideo, read_frames
from hybridal_ray.pool.frame_cache import FrameCache

SIZE = 8
FRAME_BYTES = 3 * SIZE**2
LENGTHS = {"a": 4, "b": 5, "c": 6}


def made_up_frames(uri: str, _: int) -> Iterator[np.ndarray]:
    for index in range(LENGTHS[uri]):
        yield np.full((SIZE, SIZE, 3), 10 * ord(uri) % 200 + index, dtype=np.uint8)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each made-up video was decoded, to be read and cleared by the test."""
    times: Counter[str] = Counter()

    def counting(uri: str, size: int) -> Iterator[np.ndarray]:
        times[uri] += 1
        return made_up_frames(uri, size)

    monkeypatch.setattr(frame_cache, "iter_frames", counting)
    return times


def test_a_clip_is_what_read_frames_gives(tmp_path: Path) -> None:
    uri = str(encode(tmp_path / "video.mp4", 12))
    frames = [3, 3, 11, 0]
    expected = read_frames(uri, frames, SIZE)
    np.testing.assert_array_equal(FrameCache(10**6, SIZE).clip(uri, frames), expected)
    np.testing.assert_array_equal(FrameCache(0, SIZE).clip(uri, frames), expected)  # kept nowhere


def test_a_clip_is_the_callers_own(decoded: Counter[str]) -> None:
    cache = FrameCache(10**6, SIZE)
    before = cache.clip("a", [0]).copy()
    cache.clip("a", [0])[:] = 0
    np.testing.assert_array_equal(cache.clip("a", [0]), before)


class Reading:
    """Stands for `read_frames`; remembers what it was asked for, and insists on the index of the video."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.uris: list[str] = []
        monkeypatch.setattr(frame_cache, "read_frames", self)
        monkeypatch.setattr(frame_cache, "IndexStore", lambda root: self)

    def of(self, uri: str) -> str:
        return f"index of {uri}"

    def __call__(self, uri: str, frames: list[int], size: int, index: str) -> np.ndarray:
        assert index == f"index of {uri}"
        self.uris.append(uri)
        return np.stack(list(made_up_frames(uri, size)))[frames]


@settings(max_examples=50)
@given(asked=st.lists(st.sampled_from("abc"), max_size=12), room=st.integers(0, 16))
def test_a_video_is_kept_while_there_is_room_and_gives_way_to_none(asked: list[str], room: int) -> None:
    times: Counter[str] = Counter()

    def counting(uri: str, size: int) -> Iterator[np.ndarray]:
        times[uri] += 1
        return made_up_frames(uri, size)

    kept: list[str] = []
    refused: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        reading = Reading(patch)
        patch.setattr(frame_cache, "iter_frames", counting)
        cache = FrameCache(room * FRAME_BYTES, SIZE)
        for uri in asked:
            if uri not in kept + refused:
                fits = sum(LENGTHS[other] for other in [*kept, uri]) <= room
                (kept if fits else refused).append(uri)
            np.testing.assert_array_equal(cache.clip(uri, [1])[0], list(made_up_frames(uri, SIZE))[1])
    assert times <= Counter(kept + refused)
    assert all(times[uri] == 1 for uri in kept)
    assert reading.uris == [uri for uri in asked if uri in refused]


def test_epochs_over_more_videos_than_fit_find_as_many_as_there_is_room_for(
    decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LENGTHS, "d", 5)
    reading, generator = Reading(monkeypatch), np.random.default_rng(0)
    cache = FrameCache(16 * FRAME_BYTES, SIZE)  # three of the four
    for _ in range(20):
        for uri in generator.permutation(list("abcd")):
            cache.clip(str(uri), [0])
    assert decoded.total() <= 4
    assert len(reading.uris) == 20


def test_a_video_that_is_not_to_be_kept_takes_no_room(decoded: Counter[str], monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    cache = FrameCache(5 * FRAME_BYTES, SIZE)
    for _ in range(2):
        np.testing.assert_array_equal(cache.clip("a", [3], keep=False), reading("a", [3], SIZE, "index of a"))
    cache.clip("b", [0])
    cache.clip("b", [0])
    assert decoded == {"b": 1}
    assert set(reading.uris) == {"a"}


def test_threads_that_ask_for_the_same_video_share_one_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    started, all_waiting = threading.Event(), threading.Event()
    times: Counter[str] = Counter()

    def slow(uri: str, size: int) -> Iterator[np.ndarray]:
        times[uri] += 1
        started.set()
        assert all_waiting.wait(10)
        return made_up_frames(uri, size)

    monkeypatch.setattr(frame_cache, "iter_frames", slow)
    cache = FrameCache(10**6, SIZE)
    with ThreadPoolExecutor(4) as executor:
        clips = [executor.submit(cache.clip, "a", [0, 1]) for _ in range(4)]
        assert started.wait(10)
        all_waiting.set()
        for clip in clips:
            np.testing.assert_array_equal(clip.result()[:, 0, 0, 0], [170, 171])
    assert times == {"a": 1}


def test_many_threads_get_the_right_frames_where_not_all_have_room(
    decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Reading(monkeypatch)
    cache = FrameCache(9 * FRAME_BYTES, SIZE)
    asked = [("abc"[number % 3], number % 4) for number in range(600)]
    with ThreadPoolExecutor(8) as executor:
        clips = list(executor.map(lambda ask: cache.clip(ask[0], [ask[1]]), asked))
    for (uri, frame), clip in zip(asked, clips, strict=True):
        np.testing.assert_array_equal(clip[0], list(made_up_frames(uri, SIZE))[frame])


def test_an_unreadable_video_is_tried_again(tmp_path: Path) -> None:
    uri = str(tmp_path / "video.mp4")
    cache = FrameCache(10**6, SIZE)
    with pytest.raises(UnreadableVideo, match="no such file"):
        cache.clip(uri, [0])
    encode(Path(uri), 3)
    assert cache.clip(uri, [0]).shape == (1, SIZE, SIZE, 3)


def test_a_frame_beyond_the_end_is_refused_as_read_frames_does(tmp_path: Path) -> None:
    uri = str(encode(tmp_path / "video.mp4", 3))
    with pytest.raises(UnreadableVideo) as expected:
        read_frames(uri, [3], SIZE)
    for max_bytes in (10**6, 0):
        with pytest.raises(UnreadableVideo) as caught:
            FrameCache(max_bytes, SIZE).clip(uri, [3])
        assert str(caught.value) == str(expected.value)
