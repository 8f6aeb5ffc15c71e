"""Whether a run is to end: its configuration as criteria, its finished rounds as the facts that they ask for."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.chunks import part_files
from hybridal_ray.config import Config
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.metric_names import WITHOUT_INTERVAL, check_metrics
from hybridal_ray.labelling import expected_cost
from hybridal_ray.oracles.cost import CostModel, spent_seconds
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Pool
from hybridal_ray.run_store import RunStore
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.stopping.criterion import Criterion, End, Measured, RoundFacts, Unit, first_to_hold
from hybridal_ray.stopping.flat_uncertainty import FlatUncertainty
from hybridal_ray.stopping.gain_too_small import GainTooSmall
from hybridal_ray.stopping.nothing_to_buy import BudgetSpent, PoolUsedUp
from hybridal_ray.stopping.rounds_done import RoundsDone
from hybridal_ray.stopping.target_reached import TargetReached

VALIDATION = "val"  # the split; what is measured on the test split never decides anything


def decide_end(config: Config, store: RunStore, round_index: int) -> End | None:
    """Whether the run ends with a round whose selection is done.

    It follows from the configuration and from what finished stages have left, so it is the same after a restart.

    Args:
        config: The run.
        store: Its directory.
        round_index: The last finished round.
    """
    measured = "evaluate" if config.evaluation.split == VALIDATION else "validate"
    labels = ledger.read(store.root).filter(pc.field("round") <= round_index)  # answers may come in by now
    cost = expected_cost(config, labels)
    rounds = [_facts(store, labels, cost, index, measured) for index in range(round_index + 1)]
    return first_to_hold(_criteria(config), rounds)


def validates_apart(config: Config) -> bool:
    """Whether rounds are measured on the validation split beside the evaluation: a criterion asks for it."""
    return bool(dict(_metrics(config))) and config.evaluation.split != VALIDATION


def check_stopping(config: Config, pool: Pool) -> None:
    """Finds what would keep a criterion from ever holding.

    Raises:
        UserError: Names the field.
    """
    stopping = config.stopping
    for field, metric in _metrics(config):
        check_metrics([metric], f"{field}.metric")
        surely = field == "stopping.gain" or (stopping.target is not None and stopping.target.surely)
        if surely and metric in WITHOUT_INTERVAL:
            raise UserError(f"{field}.metric: needs an interval, which {metric} has none of; expected a mean AP")
        ids = [video.video_id for video in pool.usable_videos(VALIDATION)]
        if not ids or not len(pool.tubes_of(ids)):
            raise UserError(
                f"{field}: is measured on labelled videos of the split {VALIDATION!r}, of which {pool.root} has none; "
                f"give some of its videos that split, or leave the criterion out (the test split is never asked)"
            )
    if not config.evaluation.resamples and (stopping.gain or (stopping.target and stopping.target.surely)):
        field = "gain" if stopping.gain else "target.surely"
        raise UserError(f"stopping.{field}: needs intervals, expected evaluation.resamples above 0, found 0")
    strategy = config.selection.strategy
    if stopping.flat_uncertainty and not build_strategy(strategy, config.selection.options).needs_scores:
        raise UserError(f"stopping.flat_uncertainty: selection.strategy {strategy} does without scoring the pool")


def mean_uncertainty(scores_dir: str) -> float | None:
    """Mean uncertainty of all frames that a round has scored; None where the detector found nobody on any of them.

    Args:
        scores_dir: The parts of the pass, read one after the other.
    """
    total, frames, empty = 0.0, 0, 0
    schema = pa.schema([SCORES_SCHEMA.field(name) for name in ("profile", "empty_frames")])
    for file in part_files(scores_dir):
        scores = table_files.read_table(file, schema)
        values = pc.list_flatten(scores["profile"]).cast(pa.float64())
        total += pc.sum(values, min_count=0).as_py()
        frames += len(values)
        empty += pc.sum(scores["empty_frames"], min_count=0).as_py()
    return total / frames if empty < frames else None


def _criteria(config: Config) -> Iterator[Criterion]:
    stopping, budget = config.stopping, config.budget
    if stopping.target is not None:
        yield TargetReached(stopping.target.metric, stopping.target.at_least, stopping.target.surely)
    if stopping.gain is not None:
        yield GainTooSmall(stopping.gain.metric, stopping.gain.per_hour, stopping.gain.rounds)
    if stopping.flat_uncertainty is not None:
        yield FlatUncertainty(stopping.flat_uncertainty.change, stopping.flat_uncertainty.rounds)
    bounds: Mapping[Unit, float | None] = {
        "frames": budget.max_frames,
        "videos": budget.max_videos,
        "seconds": budget.max_seconds,
    }
    for unit, limit in bounds.items():
        if limit is not None:
            yield BudgetSpent(unit, limit)
    yield PoolUsedUp()
    yield RoundsDone(config.rounds)


def _metrics(config: Config) -> Iterator[tuple[str, str]]:
    """The validation figures that criteria ask for, by field."""
    for name in ("target", "gain"):
        section = getattr(config.stopping, name)
        if section is not None:
            yield f"stopping.{name}", section.metric


def _facts(store: RunStore, labels: pa.Table, cost: CostModel, round_index: int, measured: str) -> RoundFacts:
    validation, score = store.stage(round_index, measured), store.stage(round_index, "score")
    picked = store.stage(round_index, "select").summary()
    metrics = storage.read_json(storage.join(validation.directory, measured, "metrics.json")) if validation.done else {}
    return RoundFacts(
        round=round_index,
        labour_seconds=spent_seconds(labels.filter(pc.field("round") <= round_index), cost),
        validation=_measured(metrics),
        uncertainty=score.summary().get("mean_uncertainty") if score.done else None,
        picked=picked["frames"],
        bounded_by=picked.get("bounded_by"),
    )


def _measured(metrics: Mapping[str, Any]) -> dict[str, Measured]:
    """The figures that have a value, with their intervals, which stand under the name of the convention alone."""
    intervals = metrics.get("intervals", {})
    found = {}
    for name, value in metrics.items():
        if isinstance(value, float) and math.isfinite(value):
            interval = intervals.get(name if "/" in name else f"strict/{name}")
            found[name] = Measured(value, None if interval is None else (interval[0], interval[1]))
    return found
