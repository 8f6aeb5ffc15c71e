"""The forecast: what the next round has to have labelled, and how long its stages will take."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from hybridal_ray.config import Config
from hybridal_ray.config_values import optimiser_settings, plain
from hybridal_ray.forecast.finished_stages import FinishedStage, latest_finished
from hybridal_ray.forecast.purchase import ASSUMPTION, Plan, Purchase, after, planned, priced, unanswered
from hybridal_ray.forecast.run_trial import Trial
from hybridal_ray.labelling import SELECTION, expected_cost, goes_unmeasured, is_handed_out
from hybridal_ray.oracles.own_labels import own_labels
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.ledger import LabelCounts
from hybridal_ray.pool.tables import Pool, Video
from hybridal_ray.run_budget import RunBudget
from hybridal_ray.run_end import validates_apart
from hybridal_ray.run_store import RunStore
from hybridal_ray.scoring.pool_part import seeded_part
from hybridal_ray.selection.request import Selection, budget_in_frames
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.stopping.end_file import read_end
from hybridal_ray.stopping.rounds_done import RoundsDone
from hybridal_ray.video_rows import VideoRows


@dataclass(frozen=True)
class StageForecast:
    """How long one stage will take.

    Attributes:
        stage: Its name.
        seconds: Expected; None where nothing is known of it.
        basis: What that is taken from, in one line.
    """

    stage: str
    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Forecast:
    """What the next round will cost.

    Attributes:
        round: The first that is not finished.
        to_label: Labels to be bought before its training; without frames where they have been.
        stages: Those still to be run.
        seconds: Of all stages of which something is known.
        asks_for: Labels that the round will ask for at its end, at most.
        notes: Assumptions, one a line.
    """

    round: int
    to_label: Purchase
    stages: Sequence[StageForecast]
    seconds: float
    asks_for: Purchase
    notes: Sequence[str]


def forecast_next_round(config: Config, pool: Pool) -> Forecast:
    """Forecasts the next round of a run from what its finished rounds took, or from a short trial in this process.

    Nothing is written to the run directory, and no cluster is asked.

    Args:
        config: The run; its directory need not exist.
        pool: Its pool.
    """
    store = RunStore(config.locate(config.run))
    videos = VideoRows.usable(pool.videos, "train", pool.root)
    labels = ledger.read(store.root)
    if config.oracle.start_from_pool and not len(labels):
        labels = own_labels(pool, videos)
    index = 0
    while store.stage(index, "select").done:
        index += 1
    to_label, asks_for = _purchases(config, store, videos, labels, index)
    so_far = ledger.label_counts(labels)
    labelled = LabelCounts(min(so_far.videos + to_label.new_videos, len(videos)), so_far.frames + to_label.frames)
    nothing_left = after(plain(RunBudget, config.budget), to_label).frames_left(labels) == 0
    stages, notes = _stages(config, pool, store, videos, labelled, index, score=not nothing_left)
    if not len(labels):
        notes.insert(0, ASSUMPTION)
    end = read_end(store.root)
    if end is not None and (end.criterion != RoundsDone.name or end.round + 1 >= config.rounds):
        notes.insert(0, f"the run has ended, by {end.criterion}: this is what another round would cost")
    return Forecast(index, to_label, stages, sum(stage.seconds or 0.0 for stage in stages), asks_for, notes)


def _purchases(
    config: Config, store: RunStore, videos: Sequence[Video], labels: pa.Table, index: int
) -> tuple[Purchase, Purchase]:
    """What is to be labelled before a round, and what the round will ask for."""
    section, budget, cost = config.budget, plain(RunBudget, config.budget), expected_cost(config, labels)

    def of_round(index: int, budget: RunBudget) -> Purchase:
        plan = Plan(
            section.videos_in(index),
            section.frames_per_video,
            section.max_frames_per_round,
            section.revisit_fraction,
            budget_in_frames(build_strategy(config.selection.strategy, config.selection.options)),
        )
        return planned(plan, videos, budget, labels, cost)

    before = index - 1 if index else None
    selected = store.stage(before, "select")
    if store.stage(before, "label").done or (not index and config.oracle.start_from_pool):
        to_label = Purchase(0, 0, 0, 0.0, 0.0, picked=True)
    elif selected.done and selected.summary()["frames"]:
        picks = unanswered(table_files.read_table(storage.join(selected.directory, SELECTION)), labels)
        if not is_handed_out(config, store, before):
            picks = budget.cut(Selection(picks), labels, cost)[0].picks
        to_label = priced(picks, labels, cost, picked=True)
    elif index:  # it picked nothing; a budget that was raised since may let it pick
        to_label = of_round(index - 1, budget)
    else:
        longest = max(video.num_frames for video in videos)
        start = Plan(
            len(videos) if section.start_videos == "all" else section.start_videos,
            longest if section.start_frames_per_video == "all" else section.start_frames_per_video,
        )
        to_label = planned(start, videos, budget, labels, cost)
    return to_label, of_round(index, after(budget, to_label))


def _stages(
    config: Config,
    pool: Pool,
    store: RunStore,
    videos: Sequence[Video],
    labelled: LabelCounts,
    index: int,
    *,
    score: bool,
) -> tuple[list[StageForecast], list[str]]:
    """The stages of a round that are not done yet, and what is assumed of them.

    At its training, `labelled` is what has labels; `score` says whether there is something to buy by scores.
    """
    trial = Trial(config, pool, labelled)
    forecasts = []
    for name in _stage_names(config, pool, score=score):
        if store.stage(index, name).done:
            continue
        found = latest_finished(store, name, index)
        if found is None:
            forecasts.append(StageForecast(name, *trial.stage(name)))
            continue
        scale, scaled_by = _scale(config, videos, labelled, name, found, index)
        basis = f"round {found.round} took {found.seconds:.1f} s{scaled_by}"
        forecasts.append(StageForecast(name, found.seconds * scale, basis))
    notes = list(trial.notes)
    if any(stage.basis.startswith("round") for stage in forecasts):
        notes.append("taken from earlier rounds: as many workers and actors as then are assumed, as fast as then")
    return forecasts, notes


def _stage_names(config: Config, pool: Pool, *, score: bool) -> list[str]:
    scored = build_strategy(config.selection.strategy, config.selection.options).needs_scores
    names = ("train", "evaluate", "validate", "score", "select")
    left_out = {
        "evaluate": goes_unmeasured(config, pool, config.evaluation.split),
        "validate": not validates_apart(config),
        "score": not (scored and score),
    }
    return [name for name in names if not left_out.get(name, False)]


def _scale(
    config: Config, videos: Sequence[Video], labelled: LabelCounts, name: str, found: FinishedStage, index: int
) -> tuple[float, str]:
    """How much more the next round has to do than the one that was timed, and how that is told."""
    if name == "train" and found.steps:
        optimiser = optimiser_settings(config, labelled)
        steps = optimiser.epochs * optimiser.steps_per_epoch
        return steps / found.steps, f" for {found.steps:,} steps, there are {steps:,} at most"
    if name == "score" and config.scoring.pool_fraction < 1:
        then, now = (_frames_scored(config, videos, of_round) for of_round in (found.round, index))
        return now / then, f" for {then:,} frames, there are {now:,}"
    return 1.0, ""


def _frames_scored(config: Config, videos: Sequence[Video], round_index: int) -> int:
    part = seeded_part(videos, config.scoring.pool_fraction, run_seed=config.seed, round_index=round_index)
    return sum(video.num_frames for video in part)
