"""Whole runs that take seconds, and what of a run must not depend on how it came about."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.config import Config, load_config
from hybridal_ray.loop import run_loop
from hybridal_ray.pool import ledger
from hybridal_ray.scoring.pool_scorer import read_scores

CONFIG_FILE = Path(__file__).with_name("tiny.yaml")


def overrides(root: Path, pool: Path, **settings: Any) -> list[str]:
    """The arguments of a run in ``root/run``; settings are named ``section__field``."""
    changed = [f"{name.replace('__', '.')}={value}" for name, value in settings.items()]
    return [f"root={root}", "run=run", f"pool.path={pool}", *changed]


def tiny_config(root: Path, pool: Path, **settings: Any) -> Config:
    return load_config(CONFIG_FILE, overrides(root, pool, **settings))


def run_tiny(root: Path, pool: Path, **settings: Any) -> tuple[Path, list[str]]:
    """Runs, or goes on with, the run in ``root/run``; also returns what it said."""
    lines: list[str] = []
    run_loop(tiny_config(root, pool, **settings), say=lines.append)
    return root / "run", lines


def outcome(run: Path) -> dict[str, bytes]:
    """What a run decided and paid for: the bytes of its selections, clusters and labels, by name in the run."""
    files = [*run.glob("**/selection.parquet"), *run.glob("**/clusters.parquet"), *run.glob("labels/*")]
    return {str(file.relative_to(run)): file.read_bytes() for file in sorted(files)}


def selection(run: Path, round_index: int | None) -> pa.Table:
    """What was picked from the scores of a round, or to begin with."""
    return pq.read_table(
        run / (f"rounds/{round_index:03d}" if round_index is not None else "start") / "selection.parquet"
    )


def picks(run: Path, round_index: int | None) -> list[tuple[str, int]]:
    """The frames of a selection in the order of their ranks."""
    table = selection(run, round_index)
    return list(zip(table["video_id"].to_pylist(), table["frame"].to_pylist(), strict=True))


def scores(run: Path, round_index: int) -> pa.Table:
    return read_scores(str(run / f"rounds/{round_index:03d}/scores"))


def labelled(run: Path) -> set[tuple[str, int]]:
    """Every frame that the run has bought."""
    bought = ledger.answered_frames(ledger.read(str(run)))
    return {(video_id, frame) for video_id, frames in bought.items() for frame in frames}
