"""The actors of a pass and the chunks between them: hired, fed two chunks at a time, watched, replaced.

Chunks go to whichever actor is free. An actor that dies, or is late, gives its chunks back.
"""

import dataclasses
import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from hybridal_ray import cluster
from hybridal_ray.chunk_actor import ChunkActor
from hybridal_ray.chunk_plan import Chunk, ToDo, seconds_allowed
from hybridal_ray.chunks import ChunkReport, ChunkWorker, Parts
from hybridal_ray.errors import UserError
from hybridal_ray.pass_progress import Tally

CHUNKS_IN_FLIGHT = 2  # for each actor: one in work, one at hand when it is done
DEATHS_PER_VIDEO = 2  # actors that a video may take down before it is set aside
DEATHS_IN_A_ROW = 20  # with no chunk finished in between: the fault lies not with the videos
POLL_SECONDS = 1.0
LATE_SECONDS = 60.0  # beyond the time of its videos; an actor should have ended itself by then
KILL_SECONDS = 30.0  # for the news of an actor's end, after which it is taken for dead
START_SECONDS = 1800.0  # for the first actor, time for an autoscaler to bring nodes included
ROOM_SECONDS = 5.0  # between questions to the cluster for how many actors it has room


@dataclass(frozen=True)
class ActorPlan:
    """Who does a pass over videos, and in what portions.

    Attributes:
        actors: How many; 0 processes here, without Ray and without protection from crashes and hangs; ``auto`` is as
            many as the cluster has room for, more when nodes join it.
        cpus_per_actor: CPUs reserved for each, and its number of torch threads.
        gpus_per_actor: GPUs reserved for each; a fraction lets actors share one.
        device: ``auto``, ``cpu`` or ``cuda``; where each runs its detector.
        videos_per_chunk: Videos in a part file; ``auto`` grows with their number.
        seconds_per_video: An actor that is so long at one video is ended, see `seconds_allowed`.
        may_grow: An autoscaler adds nodes: ``auto`` asks for more actors than there is room for, so that it does.

    Raises:
        UserError: A GPU is asked for that no actor reserves.
    """

    actors: int | Literal["auto"]
    cpus_per_actor: float = 1
    gpus_per_actor: float = 0
    device: str = "auto"
    videos_per_chunk: int | Literal["auto"] = "auto"
    seconds_per_video: float = 600
    may_grow: bool = False

    def __post_init__(self) -> None:
        if self.device.startswith("cuda") and self.actors != 0 and self.gpus_per_actor == 0:
            raise UserError(
                f"device: {self.device!r} needs actors that reserve a GPU, but scoring.gpus_per_actor is 0; "
                "expected a positive number, such as 1 or 0.5"
            )


@dataclass
class _Member:
    """An actor as the driver sees it.

    Attributes:
        actor: Its handle.
        start: Reference of its start, None once it has started.
        node: Reference of the id of its node.
        in_flight: Reference and chunk of what it was given, in the order it works on them.
        busy_since: When it was hired, then when it took up the first of `in_flight`.
    """

    actor: Any
    start: Any
    node: Any
    busy_since: float
    in_flight: deque[tuple[Any, Chunk]] = dataclasses.field(default_factory=deque)

    @property
    def awaited(self) -> Any:
        """The reference that will be ready next, None where it has nothing to do."""
        if self.start is not None:
            return self.start
        return self.in_flight[0][0] if self.in_flight else None


@dataclass
class Crew:
    """The actors of a pass and the chunks between them.

    Attributes:
        make_worker: See `hybridal_ray.dispatch.run_over_videos`.
        parts: Where the rows go.
        tally: Hears of each chunk that is done.
        plan: How many actors, and of what kind.
        restarts: Actors that died, or were ended for being late.
    """

    make_worker: Callable[[], ChunkWorker]
    parts: Parts
    tally: Tally
    plan: ActorPlan
    restarts: int = 0
    deaths_in_a_row: int = 0
    deaths_by_video: Counter[str] = dataclasses.field(default_factory=Counter)
    members: list[_Member] = dataclasses.field(default_factory=list)
    to_do: ToDo = dataclasses.field(default_factory=lambda: ToDo(()))
    room: int = 0
    room_asked: float = -math.inf

    def run(self, to_do: Iterable[Chunk]) -> None:
        """Processes the chunks; however it ends, no actor is left behind."""
        self.to_do = ToDo(to_do)
        try:
            while self.to_do.at_hand(1) or any(member.in_flight for member in self.members):
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

        missing = self._wanted() - len(self.members)
        idle = sum(not member.in_flight for member in self.members)
        for _ in range(min(missing, self.to_do.at_hand(max(missing, 0) + idle) - idle)):
            resources = {"num_cpus": self.plan.cpus_per_actor, "num_gpus": self.plan.gpus_per_actor}
            actor = ray.remote(ChunkActor).options(**resources, max_restarts=0, max_task_retries=0).remote()
            threads = max(1, int(self.plan.cpus_per_actor))
            start = actor.start.remote(self.make_worker, threads, self.plan.seconds_per_video)
            self.members.append(_Member(actor, start, actor.node.remote(), time.monotonic()))

    def _wanted(self) -> int:
        """How many actors there should be by now."""
        if self.plan.actors != "auto":
            return self.plan.actors
        now = time.monotonic()
        if now - self.room_asked > ROOM_SECONDS:
            self.room, self.room_asked = cluster.room_for(self.plan.cpus_per_actor, self.plan.gpus_per_actor), now
        # An autoscaler brings nodes for actors that wait: as many again as work, so that a pool doubles each time.
        waiting = max(self.room, 1) if self.plan.may_grow else 0
        return max(self.room + waiting, 1)

    def _feed(self) -> None:
        """Hands chunks out, everyone's first before anyone's second."""
        started = [member for member in self.members if member.start is None]
        for depth in range(1, CHUNKS_IN_FLIGHT + 1):
            for member in started:
                if len(member.in_flight) < depth and (chunk := self.to_do.take()) is not None:
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
                self._replace(member, self._cause_of_death(member), error)
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
        self._count(report)

    def _count(self, report: ChunkReport) -> None:
        self.tally.count(report.videos, report.frames, report.failed)

    def _cause_of_death(self, member: _Member) -> str:
        """Why an actor is gone, as far as the driver can tell: of one video at a time, it knows the time it took."""
        if member.start is None and member.in_flight:
            chunk = member.in_flight[0][1]
            allowed = self._allowed(chunk)
            if len(chunk.videos) == 1 and time.monotonic() - member.busy_since >= allowed:
                return _too_long(allowed)
        return "its process died"

    def _allowed(self, chunk: Chunk) -> float:
        return seconds_allowed(chunk.videos, self.plan.seconds_per_video)

    def _end_late(self) -> None:
        """Ends actors whose own watchdog did not; gives up when not even the first could start."""
        import ray

        now = time.monotonic()
        for member in list(self.members):
            if member.start is None and member.in_flight:
                reference, chunk = member.in_flight[0]
                allowed = self._allowed(chunk) + LATE_SECONDS
                if now - member.busy_since > allowed:
                    _kill(member)
                    ray.wait([reference], timeout=KILL_SECONDS)
                    self._replace(member, _too_long(allowed), None)
        starting = [now - member.busy_since for member in self.members if member.start is not None]
        if starting and len(starting) == len(self.members) and min(starting) > START_SECONDS:
            raise UserError(
                f"no actor of {self.plan.cpus_per_actor:g} CPUs and {self.plan.gpus_per_actor:g} GPUs could start "
                f"within {START_SECONDS:g} s; free in the cluster: {ray.available_resources()}"
            )

    def _replace(self, member: _Member, reason: str, error: Exception | None) -> None:
        """Takes back what a dead actor had not finished; the chunk it was at is under suspicion, or its node is."""
        _kill(member)
        self.members.remove(member)
        self.restarts += 1
        with_its_node = _is_gone(member)
        self.deaths_in_a_row += not with_its_node
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
                self._count(report)
        innocent = unfinished if with_its_node else unfinished[1:]
        self.to_do.put_first(innocent)
        if len(innocent) < len(unfinished):
            self._suspect(unfinished[0], reason)

    def _suspect(self, chunk: Chunk, reason: str) -> None:
        """Has the videos of a chunk tried again, each alone, and sets one aside that was alone often enough."""
        if len(chunk.videos) > 1:
            self.to_do.put_last(chunk.singles())
            return
        video_id = chunk.videos[0].video_id
        self.deaths_by_video[video_id] += 1
        if self.deaths_by_video[video_id] < DEATHS_PER_VIDEO:
            self.to_do.put_last([chunk])
        else:
            self._count(self.parts.set_aside(chunk, f"set aside after {DEATHS_PER_VIDEO} attempts: {reason}"))


def _too_long(seconds: float) -> str:
    return f"it took more than {seconds:g} s, beyond scoring.seconds_per_video for each 1,000 frames"


def _kill(member: _Member) -> None:
    import ray

    ray.kill(member.actor, no_restart=True)


def _is_gone(member: _Member) -> bool:
    """Whether the node that an actor was on is dead, as far as the cluster knows yet."""
    import ray

    if member.start is not None:
        return False
    try:
        node = ray.get(member.node, timeout=KILL_SECONDS)
    except ray.exceptions.RayError:
        return True  # even the answer has gone with it
    return not any(each["NodeID"] == node and each["Alive"] for each in ray.nodes())
