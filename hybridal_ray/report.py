"""What is told of a run and of a pool at the terminal."""

import os
import shlex
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console

from hybridal_ray.config import Config
from hybridal_ray.label_intake import awaited, open_run
from hybridal_ray.pass_progress import duration, read_progress
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.run_end import validates_apart
from hybridal_ray.run_store import RunStore, StageStatus
from hybridal_ray.stopping.criterion import End
from hybridal_ray.stopping.end_file import read_end
from hybridal_ray.tracking.rounds_table import round_rows, rounds_table
from hybridal_ray.tracking.run_reader import RoundRecord, read_rounds

# Where the stages that pass over videos leave their progress, below the round's directory.
PASSES = {"evaluate": "evaluate/predictions", "validate": "validate/predictions", "score": "scores"}


@dataclass(frozen=True)
class RunReport:
    """Where a run is.

    Attributes:
        root: The run directory.
        state: One line: what is done, what comes next.
        progress: How far the pass over videos is that comes next or is under way, None where none has begun.
        rounds: What is known of each round.
        tracking_uri: Where MLflow keeps its records of the run, or None.
        end: What ended the run, None where it has not ended.
        waits_for: The request that people have not answered all of, and how far it is; None where there is none.
    """

    root: str
    state: str
    progress: dict[str, Any] | None
    rounds: Sequence[RoundRecord]
    tracking_uri: str | None
    end: End | None
    waits_for: dict[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        return {
            "run": self.root,
            "state": self.state,
            "end": None if self.end is None else asdict(self.end),
            "waits_for": self.waits_for,
            "progress": self.progress,
            "tracking_uri": self.tracking_uri,
            "rounds": round_rows(self.rounds),
        }

    def print(self, console: Console | None = None) -> None:
        """Writes the table of the rounds, the path of the run and the way to the MLflow UI."""
        console = console or Console(width=140)
        if self.rounds:
            console.print(rounds_table(self.rounds))
        console.print(f"run: {self.root}", soft_wrap=True)
        console.print(f"state: {self.state}", soft_wrap=True)
        if self.progress is not None:
            console.print(f"progress: {self.progress['line']}, {duration(self.progress['age'])} ago", soft_wrap=True)
        if self.tracking_uri is not None:
            console.print(f"compare rounds: {_ui_command(self.tracking_uri)}", soft_wrap=True, markup=False)


def run_report(root: str) -> RunReport:
    """Reads a run directory.

    Args:
        root: The run directory, a path or URI.

    Raises:
        UserError: There is no run, or its pool has moved away.
    """
    store, config, pool = open_run(root)
    end, rounds = read_end(root), read_rounds(root, pool)
    statuses = _statuses(store, config)
    waits_for = _waits_for(store)
    state = _state(store, config, statuses, end) if waits_for is None else _waiting(waits_for)
    return RunReport(root, state, _progress(store, statuses), rounds, config.tracking_uri, end, waits_for)


def pool_facts(pool: Pool) -> dict[str, Any]:
    """Counts of a pool, by name."""
    statuses = pool.videos["status"].to_pylist()
    return {
        "pool": pool.root,
        "name": pool.name,
        "classes": len(pool.classes),
        **{f"{split} videos": len(pool.usable_videos(split)) for split in ("train", "val", "test")},
        "missing videos": statuses.count("missing"),
        "unreadable videos": statuses.count("unreadable"),
        "frames": sum(pool.videos["num_frames"].to_pylist()),
        "boxes": len(pool.tubes),
    }


def _statuses(store: RunStore, config: Config) -> list[StageStatus]:
    """The stages of the rounds begun so far, with the validation where the run has one."""
    statuses = []
    for status in store.status():
        statuses.append(status)
        if status.stage == "evaluate" and validates_apart(config):
            stage = store.stage(status.round, "validate")
            statuses.append(StageStatus(status.round, "validate", stage.done, stage.summary() if stage.done else None))
    return statuses


def _state(store: RunStore, config: Config, statuses: Sequence[StageStatus], end: End | None) -> str:
    if end is not None:
        picked = store.stage(end.round, "select").summary()["frames"]
        next_batch = "; selection.parquet of the last one is the next batch to label" if picked else ""
        return f"finished after {end.round + 1} rounds, ended by {end.criterion}: {end.reason}{next_batch}"
    if any(status.stage == "select" and (status.summary or {}).get("frames") == 0 for status in statuses):
        return "finished: the pool or the budget is used up"
    for status in statuses:
        after_the_end = status.round == config.rounds - 1 and status.stage == "label"
        if not status.done and not after_the_end:
            return f"{'start' if status.round is None else f'round {status.round}'}, next stage: {status.stage}"
    begun = len(store.finished_rounds())
    if begun < config.rounds:
        return f"round {begun}, next stage: train"
    return f"finished after {begun} rounds; selection.parquet of the last one is the next batch to label"


def _waits_for(store: RunStore) -> dict[str, Any] | None:
    """The request that the run waits for, as plain values."""
    if (waits := awaited(store)) is None:
        return None
    request, progress = waits
    place = {"request": request.request, "round": request.for_round, "directory": request.directory}
    return {**place, **asdict(progress), "line": progress.line()}


def _waiting(waits_for: dict[str, Any]) -> str:
    if waits_for["answered"] == waits_for["frames"]:
        return f"round {waits_for['round']}: {waits_for['line']}; start the run again to go on"
    return f"round {waits_for['round']} waits for people: {waits_for['line']}; request in {waits_for['directory']}"


def _progress(store: RunStore, statuses: Sequence[StageStatus]) -> dict[str, Any] | None:
    """What the pass of the next stage has written of itself, as plain values."""
    for status in statuses:
        if status.round is not None and not status.done and status.stage in PASSES:
            found = read_progress(storage.join(store.round_directory(status.round), PASSES[status.stage]))
            if found is not None:
                progress, at = found
                return {"stage": status.stage, "line": progress.line(), "age": time.time() - at, **asdict(progress)}
    return None


def _ui_command(tracking_uri: str) -> str:
    """How to look at the runs: the server's address, or the command that serves the embedded store."""
    if not tracking_uri.startswith("sqlite:"):
        return tracking_uri
    mlflow = shlex.quote(os.path.join(sysconfig.get_path("scripts"), "mlflow"))
    return (
        f"MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false {mlflow} server --workers 1 --host 127.0.0.1 --port 5000 "
        f"--backend-store-uri {shlex.quote(tracking_uri)}"
    )
