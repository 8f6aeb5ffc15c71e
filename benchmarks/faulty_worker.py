"""A scoring worker that does as a fault says: the actors of `scoring_faults.py`."""

import os
import re
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import Size, UnreadableVideo
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring import video_scoring
from hybridal_ray.scoring.pool_scorer import PoolWorker


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        deed: What the worker does when it comes to the victim.
        at_first_news: Name of what the driver's side does when the first chunk is done.
        reason: Part of the reason with which the victim has to be recorded; None: it has to be scored.
    """

    deed: str | None = None
    at_first_news: str | None = None
    reason: str | None = None


FAULTS = {
    "actor killed": Fault(deed="kill once"),
    "node killed, mid-pass": Fault(deed="wait for the other actor", at_first_news="kill node"),
    "decoder hangs, holding Python's lock": Fault(deed="hang", reason="more than 4 s"),
    "video that raises": Fault(deed="raise", reason="ValueError: no such thing"),
    "video that always kills its actor": Fault(deed="kill", reason="its process died"),
    "disk full": Fault(at_first_news="fill disk"),
    "writing fails twice, then works": Fault(deed="fail to write twice"),
    "reading fails twice, then works": Fault(deed="fail to read twice"),
    "pass cut off": Fault(at_first_news="interrupt"),
}


class FaultyWorker:
    """A scoring worker that does as the fault says, and notes each video that it is asked for."""

    def __init__(self, make_worker: Callable[[], PoolWorker], deed: str | None, victim: str, notes: str) -> None:
        self._worker, self._deed, self._victim = make_worker(), deed, victim
        self._notes = Path(notes)
        if deed == "wait for the other actor":  # so that both nodes are at work when one is killed
            self._count("ready")
            deadline = time.monotonic() + 60
            while len(list(self._notes.glob("ready.*"))) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        if deed == "hang":
            self._spoil_reading(lambda: re.match("(a+)+$", "a" * 99 + "b"))
        if deed == "fail to read twice":
            self._spoil_reading(self._fail_to_read)

    def expect(self, video: Video) -> None:
        """Passes on which video comes next."""
        self._worker.expect(video)

    def process(self, videos: Sequence[Video]) -> list[dict[str, Any]]:
        """The rows of the scoring worker, unless the deed prevents it."""
        for video in videos:
            before = self._count(f"asked.{video.video_id}")
            if video.video_id == self._victim:
                self._act(before)
        time.sleep(0.2)  # so that faults from outside find a pass under way
        return self._worker.process(videos)

    def _act(self, times_before: int) -> None:
        if self._deed == "kill" or (self._deed == "kill once" and times_before == 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._deed == "raise":
            raise ValueError("no such thing")
        if self._deed == "fail to write twice":
            write = storage.write_bytes

            def flaky(location: str, content: bytes) -> None:
                if self._count("written") < 2:
                    raise UserError(f"{location}: cannot be written") from OSError("connection reset")
                write(location, content)

            storage.write_bytes = flaky

    def _spoil_reading(self, deed: Callable[[], object]) -> None:
        read = video_scoring.iter_frames

        def spoilt(uri: str, size: Size = None) -> Iterator[Any]:
            frames = read(uri, size)
            yield next(frames)
            if Path(uri).stem == self._victim:
                deed()
            yield from frames

        video_scoring.iter_frames = spoilt

    def _fail_to_read(self) -> None:
        if self._count("read") < 2:
            raise UnreadableVideo(self._victim, "cannot be read") from OSError("connection reset")

    def _count(self, what: str) -> int:
        """How often this was noted before, in any process."""
        before = len(list(self._notes.glob(f"{what}.*")))
        (self._notes / f"{what}.{os.getpid()}.{time.monotonic_ns()}").touch()
        return before
