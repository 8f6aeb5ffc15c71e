"""Decoding in a process of its own: a file that crashes or hangs the decoder costs that process, and no more."""

import json
import os
import selectors
import signal
import subprocess
import sys
import time
from types import TracebackType
from typing import Any

from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.inspection import Inspection, inspection_of

SECONDS_TO_START = 60.0
READ_BYTES = 1 << 16


class DecoderProcess:
    """A decoder that may die; used as a context manager, which ends its process.

    Not for several threads at once: give each its own.

    Args:
        seconds: For one video, after which its decoding is ended, unless it is given a time of its own.
    """

    def __init__(self, seconds: float = 600.0) -> None:
        self._seconds = seconds
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "DecoderProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()

    def probe(self, uri: str) -> VideoFacts:
        """As `hybridal_ray.pool.decoding.probe`.

        Raises:
            UnreadableVideo: As there; or the decoder died of the video, or took too long.
        """
        return VideoFacts(**self._ask("probe", uri, self._seconds))

    def inspect(self, uri: str, seconds: float | None = None) -> Inspection:
        """As `hybridal_ray.pool.inspection.inspect_video`; errors as in `probe`."""
        return inspection_of(self._ask("inspect", uri, self._seconds if seconds is None else seconds))

    def _ask(self, task: str, uri: str, seconds: float) -> dict[str, Any]:
        fresh = self._child is None or self._child.poll() is not None
        child = self._start() if fresh else self._child
        assert child is not None
        assert child.stdin is not None
        try:
            child.stdin.write(json.dumps({"task": task, "uri": uri}).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass  # told below, by the answer that does not come
        line = self._answer(child, seconds + (SECONDS_TO_START if fresh else 0))
        if line is None:
            self._end()
            raise UnreadableVideo(uri, f"decoding it took more than {seconds:g} s")
        if not line.endswith(b"\n"):
            raise UnreadableVideo(uri, f"the decoder died of it: {_cause(child.wait())}")
        answer = json.loads(line)
        if "unreadable" in answer:
            raise UnreadableVideo(uri, answer["unreadable"])
        return dict(answer["found"])

    def _start(self) -> "subprocess.Popen[bytes]":
        self._end()
        # The child finds the packages that this process finds.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._child = subprocess.Popen(
            [sys.executable, "-m", "hybridal_ray.pool.decoder_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # FFmpeg's complaints about a broken file
            env=environment,
        )
        return self._child

    @staticmethod
    def _answer(child: "subprocess.Popen[bytes]", seconds: float) -> bytes | None:
        """One line; what there is of it where the process ends; None where it does not come in time."""
        assert child.stdout is not None
        deadline, line = time.monotonic() + seconds, b""
        with selectors.DefaultSelector() as selector:
            selector.register(child.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                part = os.read(child.stdout.fileno(), READ_BYTES)
                if not part:
                    break
                line += part
        return line

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _cause(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
