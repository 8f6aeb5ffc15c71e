"""What a run directory says of its rounds, read into small records.

Everything that a person looks at (tables, figures, the tracking server) is derived from what is read here, so that
it can be made again at any time from the run directory and the pool alone.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import yaml

from hybridal_ray.chunks import part_files
from hybridal_ray.errors import UserError
from hybridal_ray.oracles import answers_come_from_people
from hybridal_ray.oracles.cost import CostModel, spent_seconds
from hybridal_ray.oracles.cost_fit import TERMS, cost_of_answers
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA, PREDICTIONS_SCHEMA, SCORES_SCHEMA, SELECTION_SCHEMA
from hybridal_ray.pool.tables import Pool

LATENTS_SCHEMA = pa.schema([SCORES_SCHEMA.field("video_id"), SCORES_SCHEMA.field("latent")])
STAGES = ("train", "evaluate", "score", "select", "label")
MOST_LATENTS = 5_000  # more dots would hide each other, and latents of a large pool do not fit in memory


@dataclass(frozen=True)
class RoundRecord:
    """One round: what its detector was trained on, how good it was, how long each stage took.

    Attributes:
        index: Of the round, 0 first.
        labelled_videos: Videos with at least one labelled frame that the round trained on.
        labelled_frames: Distinct labelled frames that the round trained on: the budget spent.
        percent_of_pool_frames: `labelled_frames` as percentage of all frames of the usable training videos, 0 to 100.
        boxes: Boxes on those frames.
        labour_seconds: Modelled or measured seconds of labour, re-labelled frames counted again, as budgets count
            them: with what is expected of answers that do not tell how long they took. None where nothing was bought.
        metrics: What ``evaluate/metrics.json`` holds, on the evaluated split; empty before evaluation.
        validation: The same of the validation split, where a stopping criterion has it measured; else empty.
        stage_seconds: Seconds of each stage that is done, in the order of `STAGES`.
        stage_summaries: The whole marker of each stage that is done.
        history: One dict an epoch of training: epoch, loss and its parts, learning_rate, seconds.
    """

    index: int
    labelled_videos: int
    labelled_frames: int
    percent_of_pool_frames: float
    boxes: int
    labour_seconds: float | None
    metrics: Mapping[str, Any]
    validation: Mapping[str, Any]
    stage_seconds: Mapping[str, float]
    stage_summaries: Mapping[str, Mapping[str, Any]]
    history: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Latents:
    """The representation of the training videos, as the scoring pass left it, or of a sample of them.

    Attributes:
        video_ids: N videos, ascending.
        values: (N, D), float32, one latent a video.
        videos: How many have one, N or more.
    """

    video_ids: tuple[str, ...]
    values: npt.NDArray[np.float32]
    videos: int


def round_directory(run_root: str, round_index: int) -> str:
    """Where a round keeps its files: ``<run>/rounds/000``."""
    return storage.join(run_root, "rounds", f"{round_index:03d}")


def report_directory(run_root: str, round_index: int) -> str:
    """Where the figures of a round lie: ``<run>/rounds/000/report``."""
    return storage.join(round_directory(run_root, round_index), "report")


def read_rounds(run_root: str, pool: Pool) -> list[RoundRecord]:
    """Reads every round that has begun, in order; none where the run has not begun its first.

    Args:
        run_root: The run directory, a path or URI.
        pool: The pool of the run.
    """
    labels = ledger.read(run_root)
    cost = _expected_cost(run_root, labels)
    pool_frames = sum(video.num_frames for video in pool.usable_videos("train"))
    records: list[RoundRecord] = []
    while storage.exists(round_directory(run_root, len(records))):
        records.append(_read_round(run_root, len(records), labels, cost, pool_frames))
    return records


def read_configuration(run_root: str) -> dict[str, Any]:
    """The resolved configuration of the run, from its ``config.yaml``.

    Raises:
        UserError: The file is missing, or is no YAML mapping.
    """
    location = storage.join(run_root, "config.yaml")
    try:
        configuration = yaml.safe_load(storage.read_bytes(location))
    except yaml.YAMLError as error:
        raise UserError(f"{location}: not valid YAML: {error}") from error
    if not isinstance(configuration, dict):
        raise UserError(f"{location}: holds {type(configuration).__name__}, expected a mapping of fields")
    return configuration


def evaluated_split(configuration: Mapping[str, Any]) -> str:
    """The split whose figures the rounds of a run tell: test, or val."""
    return str(configuration["evaluation"]["split"])


def read_selection(run_root: str, round_index: int) -> pa.Table | None:
    """The frames that the round picked (`SELECTION_SCHEMA`), or None before its selection is done."""
    return _read_if_there(storage.join(round_directory(run_root, round_index), "selection.parquet"), SELECTION_SCHEMA)


def read_clusters(run_root: str, round_index: int) -> dict[str, int] | None:
    """The cluster of each video, or None where the strategy does not cluster or has not run yet."""
    location = storage.join(round_directory(run_root, round_index), "clusters.parquet")
    table = _read_if_there(location, CLUSTERS_SCHEMA)
    if table is None:
        return None
    return dict(zip(table["video_id"].to_pylist(), table["cluster"].to_pylist(), strict=True))


def read_latents(run_root: str, round_index: int, most: int = MOST_LATENTS) -> Latents | None:
    """The latents of the scored videos, or None before scoring is done or where no video has one.

    Of more than `most` videos they are those that the round picked, and then a uniform sample, the same in every
    round, however the scores are cut into parts. No more than twice as many are in memory at a time.
    """
    selection = read_selection(run_root, round_index)
    picked = set() if selection is None else set(selection["video_id"].to_pylist())
    kept, videos = LATENTS_SCHEMA.empty_table(), 0
    for part in _parts(run_root, round_index, "score", "scores", LATENTS_SCHEMA):
        with_latent = part.filter(pc.is_valid(part["latent"]))
        videos += len(with_latent)
        kept = pa.concat_tables([kept, with_latent])
        if len(kept) >= 2 * most:
            kept = _sample(kept, picked, most)
    if videos == 0:
        return None
    kept = _sample(kept, picked, most).sort_by("video_id")
    values = kept["latent"].combine_chunks().flatten().to_numpy().reshape(len(kept), -1)
    return Latents(tuple(kept["video_id"].to_pylist()), values, videos)


def read_predictions(run_root: str, round_index: int) -> pa.Table | None:
    """What the round's detector said of the evaluated split (`PREDICTIONS_SCHEMA`), or None before the evaluation."""
    if not stage_is_done(run_root, round_index, "evaluate"):
        return None
    parts = _parts(run_root, round_index, "evaluate", "evaluate/predictions", PREDICTIONS_SCHEMA)
    return pa.concat_tables([PREDICTIONS_SCHEMA.empty_table(), *parts])


def read_analysis(run_root: str, round_index: int) -> dict[str, Any] | None:
    """Why the round's figures are what they are (`hybridal_ray.evaluation.analysis`), or None before evaluation."""
    location = storage.join(round_directory(run_root, round_index), "evaluate", "analysis.json")
    return _read_json_if(storage.exists(location), location)


def labelled_before(run_root: str, round_index: int) -> frozenset[str]:
    """The videos that hold a label of this round's training set or earlier."""
    labels = ledger.read(run_root)
    return frozenset(labels.filter(pc.field("round") <= round_index)["video_id"].to_pylist())


def read_start(run_root: str) -> dict[str, Any]:
    """What is told of the labels that were bought before the first round; empty until they are there."""
    location = storage.join(run_root, "start", "label.done.json")
    return dict(_read_json_if(storage.exists(location), location) or {})


def stage_is_done(run_root: str, round_index: int, stage: str) -> bool:
    """Whether a stage of a round has left its marker."""
    return storage.exists(_marker(run_root, round_index, stage))


def _bought(labels: pa.Table) -> pa.Table:
    return labels.filter(pc.field("source") != ledger.OWN_LABELS)


def _expected_cost(run_root: str, labels: pa.Table) -> CostModel:
    """What is expected of answers that tell no time, as the loop expects it; where all tell it, nothing is asked."""
    if not _bought(labels)["seconds"].null_count:
        return CostModel(0.0, 0.0, 0.0)
    oracle = read_configuration(run_root)["oracle"]
    configured = CostModel(**{term: oracle[term] for term in TERMS})
    return cost_of_answers(labels, configured) if answers_come_from_people(oracle["name"]) else configured


def _read_round(run_root: str, index: int, labels: pa.Table, cost: CostModel, pool_frames: int) -> RoundRecord:
    directory = round_directory(run_root, index)
    trained_on = labels.filter(pc.field("round") <= index)
    bought = _bought(trained_on)
    by_video = ledger.labels_by_video(trained_on)
    frames = sum(len(labelled) for labelled in by_video.values())
    summaries = {
        stage: storage.read_json(_marker(run_root, index, stage))
        for stage in STAGES
        if stage_is_done(run_root, index, stage)
    }
    return RoundRecord(
        index=index,
        labelled_videos=len(by_video),
        labelled_frames=frames,
        percent_of_pool_frames=100.0 * frames / pool_frames if pool_frames else 0.0,
        boxes=sum(len(actors) for labelled in by_video.values() for actors in labelled.values()),
        labour_seconds=spent_seconds(bought, cost) if len(bought) else None,
        metrics=_metrics(run_root, index, "evaluate"),
        validation=_metrics(run_root, index, "validate"),
        stage_seconds={stage: float(summary["seconds"]) for stage, summary in summaries.items()},
        stage_summaries=summaries,
        history=_read_json_if("train" in summaries, storage.join(directory, "train", "history.json")) or [],
    )


def _metrics(run_root: str, round_index: int, stage: str) -> dict[str, Any]:
    location = storage.join(round_directory(run_root, round_index), stage, "metrics.json")
    return _read_json_if(stage_is_done(run_root, round_index, stage), location) or {}


def _marker(run_root: str, round_index: int, stage: str) -> str:
    return storage.join(round_directory(run_root, round_index), f"{stage}.done.json")


def _read_json_if(written: bool, location: str) -> Any:
    return storage.read_json(location) if written else None


def _read_if_there(location: str, schema: pa.Schema) -> pa.Table | None:
    return table_files.read_table(location, schema) if storage.exists(location) else None


def _parts(run_root: str, round_index: int, stage: str, folder: str, schema: pa.Schema) -> Iterator[pa.Table]:
    """The part files of a stage one after the other, none before it is done."""
    if stage_is_done(run_root, round_index, stage):
        for file in part_files(storage.join(round_directory(run_root, round_index), folder)):
            yield table_files.read_table(file, schema)


def _sample(latents: pa.Table, first: Collection[str], most: int) -> pa.Table:
    """At most so many rows: of these videos first, then of those whose ids have the smallest hashes."""
    ids = latents["video_id"].to_pylist()
    keys = [(each not in first, hashlib.blake2b(each.encode(), digest_size=8).digest()) for each in ids]
    return latents.take(sorted(range(len(ids)), key=keys.__getitem__)[:most])
