"""How far a pass over videos is: counted by the driver, told to whoever listens."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hybridal_ray.pool import storage
from hybridal_ray.storage_patience import may_pass

PROGRESS_FILE = "progress.json"
SECONDS_BETWEEN_WRITES = 5.0


@dataclass(frozen=True)
class PassProgress:
    """Where a pass stands.

    Attributes:
        videos_done: Failed ones and those of earlier attempts included.
        videos: Of the whole pass.
        frames_done: Of the videos done.
        frames: Of the whole pass.
        failed: Videos that failed.
        seconds: Since this attempt began.
        frames_per_second: In this attempt; 0 before its first chunk is done.
        seconds_left: At that rate, None while it is 0.
    """

    videos_done: int
    videos: int
    frames_done: int
    frames: int
    failed: int
    seconds: float
    frames_per_second: float
    seconds_left: float | None

    def line(self) -> str:
        """The same in one line, such as ``12 of 80 videos, 1,500 frames, 310 frames/s, 25 s left, 1 failed``."""
        told = [f"{self.videos_done} of {self.videos} videos", f"{self.frames_done:,} frames"]
        if self.seconds_left is not None:
            told += [f"{self.frames_per_second:,.0f} frames/s", f"{duration(self.seconds_left)} left"]
        return ", ".join([*told, f"{self.failed} failed"])


Watch = Callable[[PassProgress], None]


class Tally:
    """Counts what is done, and tells.

    Args:
        videos: Of the pass.
        frames: Of the pass.
        watches: Told after each count.
        clock: In seconds.

    Attributes:
        failed: Reason by video id.
    """

    def __init__(
        self, videos: int, frames: int, watches: tuple[Watch, ...] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.failed: dict[str, str] = {}
        self._videos, self._frames = videos, frames
        self._videos_done = self._frames_done = self._frames_before = 0
        self._watches = watches
        self._clock = clock
        self._began = clock()

    def count(self, videos: int, frames: int, failed: Mapping[str, str], *, earlier: bool = False) -> None:
        """Counts some videos; of those that an earlier attempt has done, nothing is told."""
        self._videos_done += videos
        self._frames_done += frames
        self.failed.update(failed)
        if earlier:
            self._frames_before += frames
        else:
            self.tell()

    def tell(self) -> None:
        """Tells where the pass stands."""
        progress = self.progress()
        for watch in self._watches:
            watch(progress)

    def progress(self) -> PassProgress:
        """Where the pass stands."""
        seconds = self._clock() - self._began
        done = self._frames_done - self._frames_before
        rate = done / seconds if seconds > 0 else 0.0
        return PassProgress(
            videos_done=self._videos_done,
            videos=self._videos,
            frames_done=self._frames_done,
            frames=self._frames,
            failed=len(self.failed),
            seconds=seconds,
            frames_per_second=rate,
            seconds_left=(self._frames - self._frames_done) / rate if rate > 0 else None,
        )


class ProgressFile:
    """Keeps the progress of a pass in its directory, for who looks at the run from outside.

    Args:
        directory: Of the pass.
        clock: In seconds.
    """

    def __init__(self, directory: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._location = storage.join(directory, PROGRESS_FILE)
        self._clock = clock
        self._written: float | None = None

    def __call__(self, progress: PassProgress) -> None:
        """Writes it, now and then and when all is done. What cannot be written is left for the next time."""
        now, ended = self._clock(), progress.videos_done == progress.videos
        if not ended and self._written is not None and now - self._written < SECONDS_BETWEEN_WRITES:
            return
        self._written = now
        try:
            storage.write_json(self._location, {**asdict(progress), "at": time.time()})
        except Exception as error:
            if not may_pass(error):
                raise


class RayMetrics:
    """The progress of a pass as metrics of Ray, which its dashboard and Prometheus show.

    Args:
        name: Tag ``pass`` of each metric.
    """

    def __init__(self, name: str) -> None:
        from ray.util.metrics import Counter, Gauge

        def make(kind: Any, metric: str, description: str) -> Any:
            made = kind(f"hybridal_{metric}", description=description, tag_keys=("pass",))
            made.set_default_tags({"pass": name})
            return made

        self._counters = {
            "videos_done": make(Counter, "videos_done", "Videos that a pass has done, failed ones included."),
            "frames_done": make(Counter, "frames_done", "Frames of the videos that a pass has done."),
            "failed": make(Counter, "videos_failed", "Videos that a pass has set aside."),
        }
        self._gauges = {
            "frames_per_second": make(Gauge, "frames_per_second", "Frames a second in this attempt of a pass."),
            "seconds_left": make(Gauge, "seconds_left", "Seconds that a pass will take at that rate."),
        }
        self._told = dict.fromkeys(self._counters, 0)

    def __call__(self, progress: PassProgress) -> None:
        """Adds what is new to the counters, and sets the gauges."""
        for field, counter in self._counters.items():
            more = getattr(progress, field) - self._told[field]
            if more > 0:
                counter.inc(more)
                self._told[field] += more
        for field, gauge in self._gauges.items():
            value = getattr(progress, field)
            if value is not None:
                gauge.set(value)


def read_progress(directory: str) -> tuple[PassProgress, float] | None:
    """What `ProgressFile` wrote last and when, in seconds since 1970; None where there is nothing."""
    location = storage.join(directory, PROGRESS_FILE)
    if not storage.exists(location):
        return None
    content = storage.read_json(location)
    at = content.pop("at")
    return PassProgress(**content), at


def duration(seconds: float) -> str:
    """Seconds in the unit that suits them: ``40 s``, ``12 min``, ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
