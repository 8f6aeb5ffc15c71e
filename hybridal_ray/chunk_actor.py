"""The remote end of a pass: one worker in a process of its own, which `hybridal_ray.dispatch` makes a Ray actor."""

import faulthandler
import os
from collections.abc import Callable, Sequence

import torch

from hybridal_ray.chunk_plan import Chunk, seconds_allowed
from hybridal_ray.chunks import ChunkReport, ChunkWorker, LooksAhead, Parts, Row
from hybridal_ray.pool.tables import Video

STDERR = 2


class ChunkActor:
    """Holds a worker from `start` on, and puts it to `work`."""

    def start(self, make_worker: Callable[[], ChunkWorker], threads: int, seconds_per_video: float) -> None:
        """Makes the worker. Apart from construction, so that its exception reaches the driver as it is.

        Args:
            make_worker: See `hybridal_ray.dispatch.run_over_videos`.
            threads: Of torch, within an operation.
            seconds_per_video: The process ends after so long at a video, see `seconds_allowed`.
        """
        torch.set_num_threads(threads)
        self._seconds_per_video = seconds_per_video
        self._worker = make_worker()

    def node(self) -> str:
        """The id of the node it runs on."""
        import ray

        return str(ray.get_runtime_context().get_node_id())

    def work(self, parts: Parts, chunk: Chunk) -> ChunkReport:
        """Processes a chunk and writes its part."""
        return parts.process(self, chunk)

    def expect(self, video: Video) -> None:
        """Passes on which video comes next."""
        if isinstance(self._worker, LooksAhead):
            self._worker.expect(video)

    def process(self, videos: Sequence[Video]) -> list[Row]:
        """What the worker says, in the time allowed. After a fault that leaves the GPU unusable, the process ends.

        Otherwise every later video would raise too, and be set aside for a fault that is not its own.
        """
        # This watchdog is a thread of C: it ends the process even while a decoder holds Python's lock.
        seconds = seconds_allowed(videos, self._seconds_per_video)
        faulthandler.dump_traceback_later(seconds, exit=True, file=STDERR)
        try:
            return self._worker.process(videos)
        except Exception:
            if torch.cuda.is_initialized() and not _gpu_answers():
                os._exit(1)
            raise
        finally:
            faulthandler.cancel_dump_traceback_later()


def _gpu_answers() -> bool:
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
