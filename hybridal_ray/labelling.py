"""Having frames labelled: at once by an oracle that knows, or by people, for whom the run waits without a machine."""

from collections.abc import Callable
from dataclasses import dataclass
from time import sleep
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.config import Config
from hybridal_ray.config_values import actor_plan, plain
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.predicting import predict_videos
from hybridal_ray.label_intake import REQUEST, bring_in, for_round_of, ledger_lock, request_at
from hybridal_ray.oracles import ORACLES, answers_come_from_people, known_oracle
from hybridal_ray.oracles.agreement import agreement_of
from hybridal_ray.oracles.cost import CostModel, labour_facts
from hybridal_ray.oracles.cost_fit import cost_of_answers, fit_cost
from hybridal_ray.oracles.faulty import AnnotatorFaults, in_pieces, with_faults
from hybridal_ray.oracles.interface import ToolUnreachable, WaitingOracle
from hybridal_ray.oracles.progress import Progress, progress_of
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import Pool
from hybridal_ray.registry import check_options, resolve
from hybridal_ray.requests.request import Request
from hybridal_ray.requests.writing import write_request
from hybridal_ray.run_store import RunStore
from hybridal_ray.tracking.provenance import read_provenance

SELECTION = "selection.parquet"  # of a round: what it picked
Say = Callable[[str], None]


@dataclass(frozen=True)
class Patience:
    """What a job does while people have not answered all of a request.

    Attributes:
        wait: Looks again and again, instead of ending.
        accept_partial: Goes on with what is answered.
    """

    wait: bool = False
    accept_partial: bool = False


END_AND_WAIT = Patience()


class StillWaiting(Exception):
    """People have not answered yet: the job ends well, and is started again later. The message says how."""


def asks_people(config: Config) -> bool:
    """Whether labels come from people."""
    return answers_come_from_people(config.oracle.name)


def refuse_options(config: Config) -> None:
    """Refuses options beside an oracle that knows, which takes none.

    Raises:
        UserError: There are some.
    """
    if config.oracle.options:
        raise UserError(
            f"oracle.options: found {', '.join(config.oracle.options)}, but {config.oracle.name} asks nobody and takes "
            "no options; expected none (what the simulated annotator gets wrong is oracle.faults)"
        )


def people_of(config: Config) -> WaitingOracle:
    """The oracle of a configuration whose labels come from people.

    Raises:
        UserError: An option is none of its own.
    """
    if config.oracle.faults is not None:
        raise UserError(f"oracle.faults: {config.oracle.name} asks people, who err by themselves; expected null")
    constructor = known_oracle(config.oracle.name)
    check_options(constructor, config.oracle.name, config.oracle.options, field="oracle.options")
    try:
        oracle: WaitingOracle = constructor(**config.oracle.options)
    except TypeError as error:
        raise UserError(f"oracle.options: {config.oracle.name}: {error}") from error
    return oracle


def goes_unmeasured(config: Config, pool: Pool, split: str) -> bool:
    """Whether the detector is not measured on a split: people may begin with a pool that has no label there."""
    ids = [video.video_id for video in pool.usable_videos(split)]
    return asks_people(config) and len(pool.tubes_of(ids)) == 0


def expected_cost(config: Config, labels: pa.Table) -> CostModel:
    """What labels are expected to cost: as people's answers so far took, where they tell; else as configured.

    Args:
        config: The run.
        labels: Its ledger (`LABELS_SCHEMA`).
    """
    if not asks_people(config):
        return plain(CostModel, config.oracle, overlap=0.0)
    return cost_of_answers(labels, plain(CostModel, config.oracle))


def is_handed_out(config: Config, store: RunStore, round_index: int | None) -> bool:
    """Whether the picks of a round have gone to whoever labels them, so that they stay as they are.

    Args:
        config: The run.
        store: Its directory.
        round_index: Whose picks; None for those of the start.
    """
    if store.stage(round_index, "label").done:
        return True
    if asks_people(config):
        return request_at(store, round_index) is not None
    return for_round_of(round_index) in ledger.read(store.root)["round"].to_pylist()


def label_purchase(
    config: Config, pool: Pool, store: RunStore, say: Say, patience: Patience, round_index: int | None, truth: pa.Table
) -> dict[str, Any]:
    """Has the picks of a round labelled.

    Args:
        config: The run.
        pool: Its pool.
        store: Its directory.
        say: Takes a line of progress.
        patience: What to do while people have not answered.
        round_index: Whose picks; None for those of the start.
        truth: Tubes of the training videos, for an oracle that knows them.

    Returns:
        What the labels hold and what they cost.

    Raises:
        StillWaiting: People have to answer first.
    """
    if asks_people(config):
        return _ask_people(config, pool, store, say, patience, round_index)
    for_round, cost = for_round_of(round_index), plain(CostModel, config.oracle)
    annotator = resolve(config.oracle.name, ORACLES, field="oracle.name")(truth, cost, pool.looked_at)
    picks = table_files.read_table(storage.join(store.round_directory(round_index), SELECTION))
    labels = annotator.label(picks, for_round)
    parts = [labels] if config.oracle.faults is None else _as_a_person(labels, config, pool)
    for index, part in enumerate(parts):
        ledger.append(store.root, f"round-{for_round:03d}" + (f"-{index:03d}" if len(parts) > 1 else ""), part)
    return labour_facts(pa.concat_tables(parts))


def _as_a_person(labels: pa.Table, config: Config, pool: Pool) -> list[pa.Table]:
    """What a person would have answered who errs as the configuration says, in the parts in which it comes."""
    assert config.oracle.faults is not None
    faults = plain(AnnotatorFaults, config.oracle.faults)
    videos = pool.videos.select(["video_id", "height", "width"]).to_pylist()
    erring = with_faults(
        labels,
        faults,
        sizes={video["video_id"]: (video["height"], video["width"]) for video in videos},
        num_classes=len(pool.classes),
        seconds_per_box=config.oracle.seconds_per_box,
        seed=config.seed,
    )
    return in_pieces(erring, faults.pieces, config.seed)


def _ask_people(
    config: Config, pool: Pool, store: RunStore, say: Say, patience: Patience, round_index: int | None
) -> dict[str, Any]:
    oracle = people_of(config)
    request = _request(config, pool, store, round_index)
    for frame in request.left_out:
        say(f"request {request.request}: frame {frame['frame']} of {frame['video_id']} is left out: {frame['reason']}")
    while True:
        how = _hand_out(oracle, request, store, pool, say)
        with ledger_lock(store.root):
            labels = ledger.read(store.root)
            progress = progress_of(request, labels)
            # A request that nobody has answered was written by this very job: what is accepted are former ones.
            if progress.complete or (patience.accept_partial and progress.answers):
                return _close(request, labels, progress, store)
        if not patience.wait:
            again = "start the run again once they are there, or with --accept-partial to go on without the rest"
            raise StillWaiting(f"waiting for people: {progress.line()}\n{how}\n{again}")
        say(f"waiting for people: {progress.line()}")
        sleep(config.oracle.poll_seconds)


def _hand_out(oracle: WaitingOracle, request: Request, store: RunStore, pool: Pool, say: Say) -> str:
    """Sends the request, unless that was done, and takes in what came back. Returns how labels come back."""
    try:
        how = oracle.send(request)
        delivery = oracle.fetch(request)
    except ToolUnreachable as error:
        return f"the annotation tool cannot be reached: {error}; it is tried again"
    if delivery is not None:
        arrival = bring_in(store, pool, delivery)
        for line in (*(rejected.line() for rejected in arrival.rejected), *arrival.remarks):
            say(line)
    return how


def _request(config: Config, pool: Pool, store: RunStore, round_index: int | None) -> Request:
    """Writes the request of a round, unless it is there; the detector looks at the picked videos first."""
    there = request_at(store, round_index)
    if there is not None:
        return there
    picks = table_files.read_table(storage.join(store.round_directory(round_index), SELECTION))
    return write_request(
        storage.join(store.round_directory(round_index), REQUEST),
        picks,
        pool,
        ledger.read(store.root),
        None if round_index is None else _predictions(config, pool, store, round_index, picks),
        run=store.root,
        run_identity=read_provenance(store.root).run_identity,
        for_round=for_round_of(round_index),
        overlap=config.oracle.overlap,
        clip_seconds=config.oracle.clip_seconds,
        min_score=config.oracle.propose_above,
    )


def _predictions(config: Config, pool: Pool, store: RunStore, round_index: int, picks: pa.Table) -> pa.Table:
    """What the round's detector says of the picked videos (`PREDICTIONS_SCHEMA`)."""
    location = storage.join(store.round_directory(round_index), REQUEST, "predictions.parquet")
    picked = set(picks["video_id"].to_pylist())
    if picked and not storage.exists(location):
        predict_videos(
            [video for video in pool.usable_videos("train") if video.video_id in picked],
            storage.join(store.round_directory(round_index), "train/checkpoint"),
            location,
            num_classes=len(pool.classes),
            settings=plain(DetectionSettings, config.evaluation),
            plan=actor_plan(config),
        )
    return table_files.read_table(location, PREDICTIONS_SCHEMA) if picked else PREDICTIONS_SCHEMA.empty_table()


def _close(request: Request, labels: pa.Table, progress: Progress, store: RunStore) -> dict[str, Any]:
    if not ledger.labels_by_video(labels):
        raise UserError(
            f"{store.root}: of all {progress.answers} answers none is a label, so there is nothing to train on; "
            "expected at least one frame with an actor, or none, of any video; `hybridal labels import` takes it"
        )
    own = labels.filter(pc.field("round") == request.for_round)
    agreement, fitted = agreement_of(labels, request.request), fit_cost(labels)
    return {
        **labour_facts(own),
        "asked_frames": progress.frames,
        "answered_frames": progress.answered,
        "cannot_tell": progress.cannot_tell,
        **({} if agreement is None else agreement.figures()),
        **({} if fitted is None else fitted.figures()),
    }
