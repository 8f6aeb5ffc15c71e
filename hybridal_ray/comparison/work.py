"""What a comparison has to do: first rounds that are shared, runs that go on from them, each one job in one process."""

import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hybridal_ray.comparison.comparison_file import FULL, Comparison
from hybridal_ray.comparison.sharing import FirstRound, copy_first_round, is_begun_alike, share_first_rounds
from hybridal_ray.config import FREE_FIELDS, OPTION_FIELDS, Config
from hybridal_ray.dotted_fields import leaves, without
from hybridal_ray.errors import UserError
from hybridal_ray.loop import open_pool, run_loop
from hybridal_ray.pool import storage
from hybridal_ray.rounds import Rounds
from hybridal_ray.run_stages import RunStages, Say
from hybridal_ray.run_store import RunInUseError, RunStore
from hybridal_ray.stopping.end_file import read_end

# Of the fields that a run may change, those that decide where it ends and on what videos.
_DECIDES_THE_END = frozenset(
    {"rounds", "stopping", "budget.max_frames", "budget.max_videos", "budget.max_seconds", "pool.path"}
)
PATIENCE_SECONDS = 120.0  # for a process of a driver that was killed to be gone


@dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        arm: Name of its arm, or `FULL`.
        seed: Of the run.
        config: As resolved.
    """

    arm: str
    seed: int
    config: Config

    @property
    def name(self) -> str:
        """Unique in the comparison; the last part of its directory."""
        return f"{self.arm}-{self.seed}"

    @property
    def root(self) -> str:
        """The run directory."""
        return self.config.locate(self.config.run)


@dataclass(frozen=True)
class Job:
    """What one process does from start to end.

    Attributes:
        name: Unique in the comparison.
        needs: Names of the jobs that must have ended before.
        work: Does it; picklable. Can be called again after it was cut off anywhere.
        run: The run, where the job is one.
    """

    name: str
    needs: tuple[str, ...]
    work: Callable[[], None]
    run: PlannedRun | None


def plan_runs(comparison: Comparison) -> list[PlannedRun]:
    """All runs, seed by seed, so that what is done of a comparison at any time is paired as far as can be."""
    runs = []
    for seed in range(comparison.seeds):
        arms = list(comparison.arms)
        if comparison.full is not None and seed < (comparison.full.seeds or comparison.seeds):
            arms.append(FULL)
        runs += [PlannedRun(arm, seed, comparison.config_of(arm, seed)) for arm in arms]
    return runs


def plan_jobs(comparison: Comparison, runs: Sequence[PlannedRun]) -> list[Job]:
    """The jobs that are left to do, in the order in which they are to begin."""
    directory, threads = comparison.directory, max(1, int(comparison.cpus_per_run))
    jobs: dict[str, Job] = {}
    for seed in sorted({run.seed for run in runs}):
        of_seed = [run for run in runs if run.seed == seed]
        shared = share_first_rounds({run.name: run.config for run in of_seed}, storage.join(directory, "shared"))
        for run in of_seed:
            if is_finished(directory, run):
                continue
            first = shared.get(run.name)
            if first is not None and is_begun_alike(first, run.root):
                first = None
            for round_ in _in_order(first):
                needs = () if round_.begins_with is None else (round_.begins_with.name,)
                jobs.setdefault(round_.name, Job(round_.name, needs, MakeFirstRound(round_, directory, threads), None))
            needs = () if first is None else (first.name,)
            jobs[run.name] = Job(run.name, needs, MakeRun(run, first, directory, threads), run)
    return list(jobs.values())


def is_finished(directory: str, run: PlannedRun) -> bool:
    """Whether a run has come to its end under the configuration that it has now.

    Its own directory must say so too, since it may have been deleted to have the run done again. Fields that cannot
    falsify a run do not count, such as where it lies, and neither do those that are new since then; options that are
    given now and were not then do.
    """
    location = _finished(directory, run.name)
    if not storage.exists(location) or read_end(run.root) is None:
        return False
    then, now = _decided_by(storage.read_json(location)), _decided_by(run.config.model_dump(mode="json"))
    return all(name in now and now[name] == value for name, value in then.items())


@dataclass(frozen=True)
class MakeFirstRound:
    """Computes a first round that several runs begin with.

    Attributes:
        first: Which.
        directory: Of the comparison.
        threads: Of torch.
    """

    first: FirstRound
    directory: str
    threads: int

    def __call__(self) -> None:
        """Computes what is not there yet."""
        torch.set_num_threads(self.threads)
        first, say = self.first, _log(self.directory, self.first.name)
        pool = open_pool(first.config, say)
        with _opened(first.root, {**first.decided_by, "pool_identity": pool.identity()}) as store:
            if first.begins_with is not None:
                copy_first_round(first.begins_with, store)
            rounds = Rounds(RunStages(first.config, pool, store, say))
            rounds.purchases.buy_first_labels()
            rounds.detector.train(0)
            rounds.detector.evaluate(0)
            if first.scored:
                rounds.detector.score(0)


@dataclass(frozen=True)
class MakeRun:
    """Runs the loop from a shared first round to its end.

    Attributes:
        run: Which.
        first: What it begins with; None has it begin by itself, or go on.
        directory: Of the comparison.
        threads: Of torch.
    """

    run: PlannedRun
    first: FirstRound | None
    directory: str
    threads: int

    def __call__(self) -> None:
        """Runs what is not done yet, and notes the end; a run that waits for people has none yet."""
        torch.set_num_threads(self.threads)
        config, say = self.run.config, _log(self.directory, self.run.name)
        pool = open_pool(config, say)
        with _opened(self.run.root, {**config.model_dump(mode="json"), "pool_identity": pool.identity()}) as store:
            if self.first is not None:
                copy_first_round(self.first, store)
        run_loop(config, say)
        if read_end(self.run.root) is not None:
            storage.write_json(_finished(self.directory, self.run.name), config.model_dump(mode="json"))


def attempt(job: Job) -> str | None:
    """Does a job.

    Returns:
        Why it failed, in one line; None where it did not.
    """
    try:
        job.work()
    except UserError as error:
        return str(error)
    except Exception as error:  # one run of many: the others go on, and the log has the rest
        traceback.print_exc()
        return f"{type(error).__name__}: {' '.join(str(error).split())}"
    return None


def _in_order(first: FirstRound | None) -> list[FirstRound]:
    """A first round behind those that it begins with; none for None."""
    return [] if first is None else [*_in_order(first.begins_with), first]


def _opened(root: str, resolved: Mapping[str, Any]) -> RunStore:
    """Takes a run directory, as soon as a process of a driver that was killed lets go of it."""
    store, deadline = RunStore(root), time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            store.open(resolved, FREE_FIELDS)
            return store
        except RunInUseError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _finished(directory: str, name: str) -> str:
    return storage.join(directory, "finished", f"{name}.json")


def _decided_by(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """What a run that is finished must still be configured by to count as finished, by dotted field."""
    return without(leaves(configuration, whole=OPTION_FIELDS), FREE_FIELDS - _DECIDES_THE_END)


def _log(directory: str, name: str) -> Say:
    """Takes the lines of a job: a file of the comparison, or the output where that is in an object store."""
    if storage.is_uri(directory):
        return lambda line: print(f"{name}: {line}", flush=True)
    file = Path(directory, "logs", f"{name}.log")
    file.parent.mkdir(parents=True, exist_ok=True)

    def say(line: str) -> None:
        with file.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} [{os.getpid()}] {line}\n")

    return say
