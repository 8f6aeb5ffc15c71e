"""Frames decoded in the background, a bounded number ahead of who computes on them."""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from hybridal_ray.scoring.clip_stream import Frame

FRAMES_AHEAD = 32  # of 224 × 224: 5 MB


@dataclass(frozen=True)
class _End:
    """What ends a stream: nothing, or the error that the source raised."""

    error: BaseException | None


class ReadAhead(Iterator[Frame]):
    """The frames of a source, taken by a thread of its own (decoders let other threads of Python run).

    The source is opened, read and closed in that thread. Leaving the context stops it, wherever it is.

    Args:
        open_source: Opens the source; called in the thread.
        frames: How many are held ready at most.
    """

    def __init__(self, open_source: Callable[[], Iterator[Frame]], frames: int = FRAMES_AHEAD) -> None:
        self._open_source = open_source
        self._ready: queue.Queue[Frame | _End] = queue.Queue(frames)
        self._stopped = threading.Event()
        self._end: _End | None = None
        self._thread = threading.Thread(target=self._read, name="read-ahead", daemon=True)

    def start(self) -> None:
        """Begins to read, where it has not begun; so does asking for the first frame."""
        if self._thread.ident is None:
            self._thread.start()

    def __next__(self) -> Frame:
        self.start()
        if self._end is None:
            found = self._ready.get()
            if not isinstance(found, _End):
                return found
            self._end = found
        if self._end.error is not None:
            raise self._end.error
        raise StopIteration

    def __enter__(self) -> "ReadAhead":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stops reading, and waits until the source is closed."""
        self._stopped.set()
        if self._thread.ident is None:
            return
        while self._thread.is_alive():
            self._discard()  # the thread may wait for room
            self._thread.join(timeout=0.01)

    def _discard(self) -> None:
        while not self._ready.empty():
            self._ready.get_nowait()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            source = self._open_source()
            try:
                for frame in source:
                    if self._stopped.is_set():
                        return
                    self._ready.put(frame)
            finally:
                close = getattr(source, "close", None)  # a generator holds the file open until it is closed
                if close is not None:
                    close()
        except BaseException as raised:
            error = raised
        if not self._stopped.is_set():
            self._ready.put(_End(error))
