"""What a first selection goes by that needs latents: what videos look like, a pretrained detector's, or the user's own.

Before the first round there is no detector that was trained, and so no uncertainty worth the name.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.config import Config
from hybridal_ray.config_values import (
    actor_plan,
    detector_spec,
    feature_cache,
    plain,
    score_index,
    scoring_arithmetic,
    uncertainty_settings,
)
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.dispatch import PassSummary, Progress
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.appearance import describe_pool
from hybridal_ray.scoring.pool_scorer import score_pool
from hybridal_ray.scoring.score_index import scoring_key
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.selection.score_batches import ScoreBatches, ScoreParts, ScoreTable
from hybridal_ray.selection.strategies import START_FIELDS, build_strategy
from hybridal_ray.training.first_weights import pretrained_weights

PRETRAINED = "pretrained"
APPEARANCE = "appearance"
OWN_LATENTS_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("latent", pa.list_(pa.float32()), nullable=False),
    ]
)


def check_start(config: Config) -> bool:
    """Builds the first strategy and looks for what it needs, before anything is computed.

    Returns:
        Whether it needs latents.

    Raises:
        UserError: It cannot be built, or needs latents and the configuration names none, or none that are there.
    """
    selection = config.selection
    if not build_strategy(selection.start_strategy, selection.start_options, fields=START_FIELDS).needs_scores:
        return False
    named = selection.start_latents
    if named is None:
        raise UserError(
            f"selection.start_latents: start_strategy {selection.start_strategy!r} needs latents, found none; expected "
            f"{APPEARANCE!r}, {PRETRAINED!r} with detector.pretrained set, or a Parquet file with the columns video_id "
            "and latent"
        )
    if named == PRETRAINED and config.detector.pretrained is None:
        raise UserError(
            f"selection.start_latents: found {PRETRAINED!r}, but detector.pretrained is null; expected a file of "
            "weights there, for latents of random ones say nothing"
        )
    if named not in (APPEARANCE, PRETRAINED) and not storage.exists(config.locate(named)):
        raise UserError(f"selection.start_latents: {config.locate(named)} is not there; expected a Parquet file")
    return True


def start_scores(
    config: Config,
    videos: Sequence[Video],
    num_classes: int,
    directory: str,
    say: Callable[[str], None],
    tell: Callable[[str], None],
) -> ScoreBatches | None:
    """The scores that the first selection is given, None where it needs none.

    Args:
        config: The run.
        videos: The videos that can be bought from.
        num_classes: Of the pool.
        directory: Of the run's start; gets what the pass over the pool leaves, which is gone on with where an earlier
            job began it. Its name says what decides the latents, so that those of others are never taken for them.
        say: Takes a line that tells what was found.
        tell: Takes a line of progress, as often as a chunk of videos is done.

    Raises:
        UserError: `check_start` would raise one, the weights or the latents do not fit, or see `score_pool`.
    """
    if not check_start(config):
        return None
    named = config.selection.start_latents
    assert named is not None

    def progress(done: int, total: int) -> None:
        tell(f"{done} of {total} videos")

    if named == APPEARANCE:
        plan = dataclasses.replace(actor_plan(config), gpus_per_actor=0, device="cpu")
        scores = storage.join(directory, f"scores-{APPEARANCE}")
        summary = describe_pool(videos, scores, plan=plan, progress=progress)
    elif named == PRETRAINED:
        scores, summary = _score_untrained(config, videos, num_classes, directory, say, progress)
    else:
        return ScoreTable(read_own_latents(config.locate(named), videos, say))
    for video_id, reason in summary.failed.items():
        say(f"start: {video_id} has no latent: {reason}")
    return ScoreParts(scores)


def _score_untrained(
    config: Config,
    videos: Sequence[Video],
    num_classes: int,
    directory: str,
    say: Callable[[str], None],
    progress: Progress,
) -> tuple[str, PassSummary]:
    """Leaves the latents of the pretrained detector; returns where."""
    assert config.detector.pretrained is not None
    spec = detector_spec(config, num_classes)
    location, partial = config.locate(config.detector.pretrained), config.detector.allow_partial
    weights, told = pretrained_weights(spec, location, allow_partial=partial, seed=config.seed)
    say(f"start: latents of an untrained detector, {told}")
    asked = config.budget.start_frames_per_video
    frames = max(video.num_frames for video in videos) if asked == "all" else asked
    checkpoint = storage.join(directory, "detector")
    save_detector(checkpoint, spec, weights, None)
    # The latent of one pass will do: the uncertainty of a detector that was never trained is not looked at.
    settings = dataclasses.replace(uncertainty_settings(config), passes=1, measure="neg_log", frames_per_video=frames)
    shortcuts, autocast = plain(Shortcuts, config.scoring), scoring_arithmetic(config)
    decided_by = {"settings": settings, "shortcuts": shortcuts, "autocast": str(autocast), "run_seed": config.seed}
    scores = storage.join(directory, f"scores-{scoring_key(checkpoint, videos, {}, decided_by)}")
    summary = score_pool(
        videos,
        {},
        checkpoint,
        scores,
        settings=settings,
        shortcuts=shortcuts,
        autocast=autocast,
        run_seed=config.seed,
        round_index=0,
        plan=actor_plan(config),
        feature_cache=feature_cache(config),
        score_index=score_index(config),
        progress=progress,
    )
    return scores, summary


def read_own_latents(location: str, videos: Sequence[Video], say: Callable[[str], None]) -> pa.Table:
    """Latents that the user made, of any self-supervised model, as scores in which all else is unknown.

    Args:
        location: A Parquet file of ``video_id`` and ``latent``, all of one length; further columns, and videos that are
            not in the pool, are left out.
        videos: The pool.
        say: Is told of videos without a latent, which then cannot be bought from.

    Returns:
        Table of `SCORES_SCHEMA`.

    Raises:
        UserError: The file is not as described; the message names it and the column.
    """
    table = table_files.read_table(location, OWN_LATENTS_SCHEMA)
    ids = pa.array([video.video_id for video in videos], pa.string())
    found = table.filter(pc.is_in(table["video_id"], ids))
    if len(found) == 0:
        raise UserError(f"{location}: column 'video_id' names no video of the pool, expected one row a video")
    if pc.count_distinct(found["video_id"]).as_py() < len(found):
        raise UserError(f"{location}: column 'video_id' holds duplicates, expected one row a video")
    numbers = pc.list_flatten(found["latent"])
    lengths = pc.unique(pc.list_value_length(found["latent"])).to_pylist()
    if len(lengths) != 1 or lengths == [0] or numbers.null_count or not np.isfinite(numbers.to_numpy()).all():
        raise UserError(f"{location}: column 'latent', expected as many finite numbers in each row, at least one")
    if len(found) < len(videos):
        say(f"start: {location} has no latent of {len(videos) - len(found)} of {len(videos)} videos")
    unknown = {
        field.name: pa.nulls(len(found), field.type) for field in SCORES_SCHEMA if field.name not in table.schema.names
    }
    columns = {name: found[name] for name in OWN_LATENTS_SCHEMA.names} | unknown
    return pa.table([columns[name] for name in SCORES_SCHEMA.names], schema=SCORES_SCHEMA)
