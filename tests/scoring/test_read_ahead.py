"""Oracles: the source itself; a count of the frames taken from it; which thread closed it."""

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from hybridal_ray.scoring.read_ahead import ReadAhead

FRAMES = np.random.default_rng(0).integers(0, 256, (45, 2, 3, 3), dtype=np.uint8)


class Source:
    def __init__(self, frames: int = 45, error: Exception | None = None) -> None:
        self.frames, self.error = frames, error
        self.taken = 0
        self.closed_in: int | None = None

    def __call__(self) -> Iterator[np.ndarray]:
        try:
            for frame in FRAMES[: self.frames]:
                self.taken += 1
                yield frame
            if self.error is not None:
                raise self.error
        finally:
            self.closed_in = threading.get_ident()


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_frames_are_those_of_the_source_in_order() -> None:
    source = Source()
    with ReadAhead(source, 4) as frames:
        np.testing.assert_array_equal(np.stack(list(frames)), FRAMES)
        assert next(frames, None) is None
    assert source.closed_in not in (None, threading.get_ident())


def test_nothing_is_opened_before_it_is_wanted_and_no_more_is_held_than_allowed() -> None:
    source = Source()
    with ReadAhead(source, 4) as frames:
        assert source.taken == 0
        frames.start()
        wait_until(lambda: source.taken == 5)  # four ready, one in hand
        time.sleep(0.05)
        assert source.taken == 5
        next(frames)
        wait_until(lambda: source.taken == 6)
    assert source.taken <= 7
    assert source.closed_in is not None
    assert not any(thread.name == "read-ahead" for thread in threading.enumerate())


def test_error_comes_behind_the_frames_before_it_and_again_when_asked_again() -> None:
    with ReadAhead(Source(3, ValueError("torn"))) as frames:
        assert [next(frames).tolist() for _ in range(3)] == FRAMES[:3].tolist()
        for _ in range(2):
            with pytest.raises(ValueError, match="torn"):
                next(frames)


def test_reader_that_never_began_closes() -> None:
    source = Source()
    with ReadAhead(source):
        pass
    assert source.taken == 0
