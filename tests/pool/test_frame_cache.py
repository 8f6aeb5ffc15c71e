"""Oracles: `read_frames` of the same file; a list that is kept in order of use by hand."""

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


@settings(max_examples=50)
@given(asked=st.lists(st.sampled_from("abc"), max_size=12), room=st.integers(6, 16))
def test_the_least_recently_used_gives_way(asked: list[str], room: int) -> None:
    times: Counter[str] = Counter()

    def counting(uri: str, size: int) -> Iterator[np.ndarray]:
        times[uri] += 1
        return made_up_frames(uri, size)

    expected: Counter[str] = Counter()
    kept: list[str] = []  # least recently used first
    cache = FrameCache(room * FRAME_BYTES, SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_cache, "iter_frames", counting)
        for uri in asked:
            expected[uri] += uri not in kept
            kept = [*(other for other in kept if other != uri), uri]
            while sum(LENGTHS[other] for other in kept) > room:
                kept.pop(0)
            np.testing.assert_array_equal(cache.clip(uri, [1])[0], list(made_up_frames(uri, SIZE))[1])
    assert times == +expected


def test_a_video_larger_than_the_cache_is_read_without_being_kept(
    decoded: Counter[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    class Indices:
        def of(self, uri: str) -> str:
            return f"index of {uri}"

    def reading(uri: str, frames: list[int], size: int, index: str) -> np.ndarray:
        assert index == f"index of {uri}"
        read.append(uri)
        return np.stack(list(made_up_frames(uri, size)))[frames]

    monkeypatch.setattr(frame_cache, "read_frames", reading)
    monkeypatch.setattr(frame_cache, "IndexStore", lambda root: Indices())
    cache = FrameCache(5 * FRAME_BYTES, SIZE)
    cache.clip("a", [0])
    for _ in range(3):
        np.testing.assert_array_equal(cache.clip("c", [5]), reading("c", [5], SIZE, "index of c"))
    cache.clip("a", [0])
    assert decoded == {"a": 1, "c": 1}  # found too large once, and "a" did not give way to it
    assert Counter(read)["c"] == 6


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


def test_many_threads_under_eviction_get_the_right_frames(decoded: Counter[str]) -> None:
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
