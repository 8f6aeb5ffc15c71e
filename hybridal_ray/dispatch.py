"""Runs a pass over videos on a pool of Ray actors that may die, hang or choke on a video, and loses nothing.

The actors write the rows to part files themselves; the driver hears only how many videos are done and which failed,
so what it holds of a pass is eight bytes a video and the reasons of the failures.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from hybridal_ray.chunk_plan import Chunk, ChunkPlan, pieces, plan_chunks
from hybridal_ray.chunks import ChunkWorker, ErrorRow, Parts, Progress
from hybridal_ray.crew import ActorPlan, Crew
from hybridal_ray.errors import UserError
from hybridal_ray.pass_progress import ProgressFile, RayMetrics, Tally, Watch
from hybridal_ray.pool.tables import Video

__all__ = ["ActorPlan", "PassSummary", "Progress", "refuse_total_failure", "run_over_videos"]

LISTING_SECONDS = 70.0  # network file systems show a directory as it was up to a minute ago
READERS = 16  # threads that ask what earlier attempts have left


@dataclass(frozen=True)
class PassSummary:
    """How a pass went.

    Attributes:
        videos: All videos of the pass, failed ones included.
        failed: Why, by video id, of the videos that were set aside, in this attempt or an earlier one.
        actor_restarts: Actors that died, or were ended for being late, and were replaced in this attempt.
        seconds: Wall-clock time of this attempt.
    """

    videos: int
    failed: dict[str, str]
    actor_restarts: int
    seconds: float


def run_over_videos(
    videos: Sequence[Video],
    make_worker: Callable[[], ChunkWorker],
    out_dir: str,
    *,
    error_row: ErrorRow,
    schema: pa.Schema,
    plan: ActorPlan,
    progress: Progress | None = None,
    watch: Watch | None = None,
) -> PassSummary:
    """Processes every video once and leaves the rows in ``out_dir/part-*.parquet`` (`read_parts` reads them).

    A chunk whose part is there is not done again, so a pass that was cut off goes on where it stopped. An actor
    that dies, or is late, is replaced and its videos are processed again, one by one; a video that takes its
    actor down twice, or raises, is set aside with an error row. What the parts hold does not depend on the number
    of actors, their speed or their deaths. How far it is stands in ``out_dir/progress.json`` and in Ray's metrics.

    Args:
        videos: Each id once. They are made into objects one chunk at a time, so a sequence such as `VideoRows` keeps
            the driver small.
        make_worker: Makes the worker, in each actor once. Picklable and small: give it locations, not weights.
        out_dir: Path or URI, the same for all nodes; of this pass alone.
        error_row: The row of a video that was set aside, from the video and the reason; None leaves no row.
        schema: Of the rows. Rows whose ``error`` is not null count as failed.
        plan: Who does it. The cluster must have room for one actor at least; for nodes that an autoscaler brings,
            a pass waits half an hour.
        progress: Called with the videos done and all videos, at the start and after each chunk.
        watch: Called as often, with all that is known.

    Raises:
        UserError: No actor could start in time, `out_dir` belongs to a pass over other videos or is not the same for
            all nodes, or `make_worker` raised one.
        RuntimeError: Actor after actor died without finishing anything.
    """
    started = time.monotonic()
    parts = Parts(out_dir, schema, error_row)
    chunks = plan_chunks(videos, out_dir, plan.videos_per_chunk)
    present = parts.names()
    watches = _watches(out_dir, plan, progress, watch)
    tally = Tally(len(chunks.order), chunks.frames, watches)
    _count_what_is_there(chunks, present, parts, tally)
    tally.tell()
    to_do = (piece for chunk in chunks for piece, done in pieces(chunk, present) if not done)
    restarts = 0
    if plan.actors == 0:
        worker: ChunkWorker | None = None
        for chunk in to_do:
            worker = make_worker() if worker is None else worker
            report = parts.process(worker, chunk)
            tally.count(report.videos, report.frames, report.failed)
    else:
        crew = Crew(make_worker, parts, tally, plan)
        crew.run(to_do)
        restarts = crew.restarts
        _refuse_missing_parts(chunks, parts, out_dir)
    return PassSummary(len(chunks.order), dict(sorted(tally.failed.items())), restarts, time.monotonic() - started)


def _watches(out_dir: str, plan: ActorPlan, progress: Progress | None, watch: Watch | None) -> tuple[Watch, ...]:
    """Who is told how far a pass is."""
    watches: list[Watch] = [ProgressFile(out_dir)]
    if plan.actors != 0:
        watches.append(RayMetrics("/".join(out_dir.rstrip("/").rsplit("/", 4)[1:])))
    if progress is not None:
        watches.append(lambda told: progress(told.videos_done, told.videos))
    if watch is not None:
        watches.append(watch)
    return tuple(watches)


def _count_what_is_there(chunks: ChunkPlan, present: set[str], parts: Parts, tally: Tally) -> None:
    """Counts what earlier attempts have left, many small files at a time."""
    if not present:
        return

    def batches() -> Iterator[list[Chunk]]:
        batch: list[Chunk] = []
        for chunk in chunks:
            batch += [piece for piece, done in pieces(chunk, present) if done]
            if len(batch) >= 64 * READERS:
                yield batch
                batch = []
        yield batch

    with ThreadPoolExecutor(READERS) as readers:
        for batch in batches():
            for report in filter(None, readers.map(parts.recorded, batch)):
                tally.count(report.videos, report.frames, report.failed, earlier=True)


def _refuse_missing_parts(chunks: ChunkPlan, parts: Parts, out_dir: str) -> None:
    """Ends a pass whose actors wrote elsewhere: a path of their own node's disk.

    Raises:
        UserError: Parts are not there.
    """
    deadline = time.monotonic() + LISTING_SECONDS
    while True:
        missing = len(chunks.missing(parts.names()))
        if not missing:
            return
        if time.monotonic() > deadline:
            raise UserError(
                f"{out_dir}: {missing} of the {len(chunks)} parts that the actors wrote are not here; expected a path "
                "or URI that all nodes share (field `root`)"
            )
        time.sleep(1.0)


def refuse_total_failure(summary: PassSummary, out_dir: str) -> None:
    """Ends a stage on a pass in which no video came through: the videos are hardly at fault, all of them.

    Raises:
        UserError: Every video failed; the message has the first reason and how to try again.
    """
    if summary.videos and len(summary.failed) == summary.videos:
        video_id, reason = next(iter(summary.failed.items()))
        raise UserError(
            f"{out_dir}: all {summary.videos} videos failed, {video_id} with: {reason}; mend the cause and remove that "
            "directory to try again"
        )
