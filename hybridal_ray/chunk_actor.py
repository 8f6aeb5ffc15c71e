"""The remote end of a pass: one worker in a process of its own, which `hybridal_ray.dispatch` makes a Ray actor."""

import os
from collections.abc import Callable, Sequence

import torch

from hybridal_ray.chunks import Chunk, ChunkReport, ChunkWorker, Parts, Row
from hybridal_ray.pool.tables import Video


class ChunkActor:
    """Holds a worker from `start` on, and puts it to `work`."""

    def start(self, make_worker: Callable[[], ChunkWorker], threads: int) -> None:
        """Makes the worker. Apart from construction, so that its exception reaches the driver as it is.

        Args:
            make_worker: See `hybridal_ray.dispatch.run_over_videos`.
            threads: Of torch, within an operation.
        """
        torch.set_num_threads(threads)
        self._worker = make_worker()

    def work(self, parts: Parts, chunk: Chunk) -> ChunkReport:
        """Processes a chunk and writes its part."""
        return parts.process(self, chunk)

    def process(self, videos: Sequence[Video]) -> list[Row]:
        """What the worker says. After a fault that leaves the GPU unusable for this process, the process ends.

        Otherwise every later video would raise too, and be set aside for a fault that is not its own.
        """
        try:
            return self._worker.process(videos)
        except Exception:
            if torch.cuda.is_initialized() and not _gpu_answers():
                os._exit(1)
            raise


def _gpu_answers() -> bool:
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
