"""Runs a pass over videos on a pool of Ray actors that may die, hang or choke on a video, and loses nothing.

Chunks go to whichever actor is free, two at a time. The actors write the rows to part files themselves; the
driver hears only how many videos are done and which failed, so its memory does not grow with the pool.
"""

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hybridal_ray.chunk_actor import ChunkActor
from hybridal_ray.chunks import (
    Chunk,
    ChunkReport,
    ChunkWorker,
    ErrorRow,
    Parts,
    Progress,
    Tally,
    divide_by_progress,
    plan_chunks,
)
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video

CHUNKS_IN_FLIGHT = 2  # for each actor: one in work, one at hand when it is done
DEATHS_PER_VIDEO = 2  # actors that a video may take down before it is set aside
DEATHS_IN_A_ROW = 20  # with no chunk finished in between: the fault lies not with the videos
POLL_SECONDS = 1.0
KILL_SECONDS = 30.0  # for the news of an actor's end, after which it is taken for dead
START_SECONDS = 1800.0  # for the first actor, time for an autoscaler to bring nodes included


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


@dataclass(frozen=True)
class ActorPlan:
    """Who does a pass over videos, and in what portions.

    Attributes:
        actors: How many; 0 processes here, without Ray and without protection from crashes and hangs.
        cpus_per_actor: CPUs reserved for each, and its number of torch threads.
        gpus_per_actor: GPUs reserved for each; a fraction lets actors share one.
        device: ``auto``, ``cpu`` or ``cuda``; where each runs its detector.
        videos_per_chunk: Videos in a part file.
        seconds_per_video: An actor has this many seconds for each video of a chunk before it is ended.

    Raises:
        UserError: A GPU is asked for that no actor reserves.
    """

    actors: int
    cpus_per_actor: float = 1
    gpus_per_actor: float = 0
    device: str = "auto"
    videos_per_chunk: int = 8
    seconds_per_video: float = 600

    def __post_init__(self) -> None:
        if self.device.startswith("cuda") and self.actors > 0 and self.gpus_per_actor == 0:
            raise UserError(
                f"device: {self.device!r} needs actors that reserve a GPU, but scoring.gpus_per_actor is 0; "
                "expected a positive number, such as 1 or 0.5"
            )


def run_over_videos(
    videos: Sequence[Video],
    make_worker: Callable[[], ChunkWorker],
    out_dir: str,
    *,
    error_row: ErrorRow,
    schema: pa.Schema,
    plan: ActorPlan,
    progress: Progress | None = None,
) -> PassSummary:
    """Processes every video once and leaves the rows in ``out_dir/part-*.parquet`` (`read_parts` reads them).

    A chunk whose part is there is not done again, so a pass that was cut off goes on where it stopped. An actor
    that dies, or is late, is replaced and its videos are processed again, one by one; a video that takes its
    actor down twice, or raises, is set aside with an error row. What the parts hold does not depend on the number
    of actors, their speed or their deaths.

    Args:
        videos: Each id once.
        make_worker: Makes the worker, in each actor once. Picklable and small: give it locations, not weights.
        out_dir: Path or URI, the same for all nodes; of this pass alone.
        error_row: The row of a video that was set aside, from the video and the reason; None leaves no row.
        schema: Of the rows. Rows whose ``error`` is not null count as failed.
        plan: Who does it. The cluster must have room for one actor at least; for nodes that an autoscaler brings,
            a pass waits half an hour.
        progress: Called with the videos done and all videos, at the start and after each chunk.

    Raises:
        UserError: No actor could start in time, `out_dir` belongs to a pass over other videos, or
            `make_worker` raised one.
        RuntimeError: Actor after actor died without finishing anything.
    """
    started = time.monotonic()
    parts = Parts(out_dir, schema, error_row)
    done, to_do = divide_by_progress(plan_chunks(videos, out_dir, plan.videos_per_chunk), parts.names())
    tally = Tally(len(videos), progress)
    tally.resume([report for chunk in done if (report := parts.recorded(chunk)) is not None])
    restarts = 0
    if to_do and plan.actors == 0:
        worker = make_worker()
        for chunk in to_do:
            tally.add(parts.process(worker, chunk))
    elif to_do:
        crew = _Crew(make_worker, parts, tally, plan)
        crew.run(to_do)
        restarts = crew.restarts
    return PassSummary(len(videos), dict(sorted(tally.failed.items())), restarts, time.monotonic() - started)


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


@dataclass
class _Member:
    """An actor as the driver sees it.

    Attributes:
        actor: Its handle.
        start: Reference of its start, None once it has started.
        in_flight: Reference and chunk of what it was given, in the order it works on them.
        busy_since: When it was hired, then when it took up the first of `in_flight`.
    """

    actor: Any
    start: Any
    busy_since: float
    in_flight: deque[tuple[Any, Chunk]] = dataclasses.field(default_factory=deque)

    @property
    def awaited(self) -> Any:
        """The reference that will be ready next, None where it has nothing to do."""
        if self.start is not None:
            return self.start
        return self.in_flight[0][0] if self.in_flight else None


@dataclass
class _Crew:
    """The actors of a pass and the chunks between them; the arguments are those of `run_over_videos`."""

    make_worker: Callable[[], ChunkWorker]
    parts: Parts
    tally: Tally
    plan: ActorPlan
    restarts: int = 0
    deaths_in_a_row: int = 0
    deaths_by_video: Counter[str] = dataclasses.field(default_factory=Counter)
    members: list[_Member] = dataclasses.field(default_factory=list)
    to_do: deque[Chunk] = dataclasses.field(default_factory=deque)

    def run(self, to_do: Sequence[Chunk]) -> None:
        """Processes the chunks; however it ends, no actor is left behind."""
        self.to_do.extend(to_do)
        try:
            while self.to_do or any(member.in_flight for member in self.members):
                self._hire()
                self._feed()
                self._await_one()
                self._end_late()
        finally:
            for member in self.members:
                _kill(member)

    def _hire(self) -> None:
        """Starts as many actors as are missing and would find work."""
        import ray

        idle = sum(not member.in_flight for member in self.members)
        for _ in range(min(self.plan.actors - len(self.members), len(self.to_do) - idle)):
            resources = {"num_cpus": self.plan.cpus_per_actor, "num_gpus": self.plan.gpus_per_actor}
            actor = ray.remote(ChunkActor).options(**resources, max_restarts=0, max_task_retries=0).remote()
            start = actor.start.remote(self.make_worker, max(1, int(self.plan.cpus_per_actor)))
            self.members.append(_Member(actor, start, time.monotonic()))

    def _feed(self) -> None:
        """Hands chunks out, everyone's first before anyone's second."""
        started = [member for member in self.members if member.start is None]
        for depth in range(1, CHUNKS_IN_FLIGHT + 1):
            for member in started:
                if self.to_do and len(member.in_flight) < depth:
                    chunk = self.to_do.popleft()
                    if not member.in_flight:
                        member.busy_since = time.monotonic()
                    member.in_flight.append((member.actor.work.remote(self.parts, chunk), chunk))

    def _await_one(self) -> None:
        """Waits a moment for news of any actor, and acts on it."""
        import ray

        awaited = {member.awaited: member for member in self.members if member.awaited is not None}
        ready, _ = ray.wait(list(awaited), num_returns=1, timeout=POLL_SECONDS)
        for reference in ready:
            member = awaited[reference]
            try:
                report = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, UserError):
                    raise error.cause from None
                raise
            except ray.exceptions.RayError as error:
                self._replace(member, "its process died", error)
            else:
                self._advance(member, report)

    def _advance(self, member: _Member, report: ChunkReport | None) -> None:
        """Notes that an actor has started (no report), or finished the first of its chunks."""
        member.busy_since = time.monotonic()
        if report is None:
            member.start = None
            return
        member.in_flight.popleft()
        self.deaths_in_a_row = 0
        self.tally.add(report)

    def _end_late(self) -> None:
        """Ends actors that have had their time for a chunk; gives up when not even the first could start."""
        import ray

        now = time.monotonic()
        for member in list(self.members):
            if member.start is None and member.in_flight:
                reference, chunk = member.in_flight[0]
                allowed = self.plan.seconds_per_video * len(chunk.videos)
                if now - member.busy_since > allowed:
                    _kill(member)
                    ray.wait([reference], timeout=KILL_SECONDS)
                    self._replace(member, f"it took more than {allowed:g} s", None)
        starting = [now - member.busy_since for member in self.members if member.start is not None]
        if starting and len(starting) == len(self.members) and min(starting) > START_SECONDS:
            raise UserError(
                f"no actor of {self.plan.cpus_per_actor:g} CPUs and {self.plan.gpus_per_actor:g} GPUs could start "
                f"within {START_SECONDS:g} s; free in the cluster: {ray.available_resources()}"
            )

    def _replace(self, member: _Member, reason: str, error: Exception | None) -> None:
        """Takes back what a dead actor had not finished; the chunk it was at is under suspicion."""
        _kill(member)
        self.members.remove(member)
        self.restarts += 1
        self.deaths_in_a_row += 1
        if self.deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise RuntimeError(
                f"{DEATHS_IN_A_ROW} actors were lost in a row, none finished a chunk; of the last: {reason}"
            ) from error
        unfinished = []
        for _, chunk in member.in_flight:
            report = self.parts.recorded(chunk)  # it may have died after writing, before we heard
            if report is None:
                unfinished.append(chunk)
            else:
                self.tally.add(report)
        self.to_do.extendleft(reversed(unfinished[1:]))
        if unfinished:
            self._suspect(unfinished[0], reason)

    def _suspect(self, chunk: Chunk, reason: str) -> None:
        """Has the videos of a chunk tried again, each alone, and sets one aside that was alone often enough."""
        if len(chunk.videos) > 1:
            self.to_do.extend(chunk.singles())
            return
        video_id = chunk.videos[0].video_id
        self.deaths_by_video[video_id] += 1
        if self.deaths_by_video[video_id] < DEATHS_PER_VIDEO:
            self.to_do.append(chunk)
        else:
            self.tally.add(self.parts.set_aside(chunk, f"set aside after {DEATHS_PER_VIDEO} attempts: {reason}"))


def _kill(member: _Member) -> None:
    import ray

    ray.kill(member.actor, no_restart=True)
