"""The plain values that stages take, out of the configuration, which goes no further than the loop."""

import dataclasses
import math
from typing import Any, TypeVar, get_args

import torch
from pydantic import BaseModel

from hybridal_ray.config import Config
from hybridal_ray.detectors.building import settled_spec
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.pool.ledger import LabelCounts, labels_of_tubes
from hybridal_ray.pool.tables import Pool
from hybridal_ray.scoring.uncertainty import COMPARE_PASSES, Measure
from hybridal_ray.scoring.video_scoring import UncertaintySettings
from hybridal_ray.training.held_out import HeldOut
from hybridal_ray.training.settings import OptimiserSettings

Values = TypeVar("Values")


def plain(kind: type[Values], section: BaseModel, **given: Any) -> Values:
    """Fills a dataclass with the fields of a section that have the names of its own.

    Args:
        kind: The dataclass.
        section: Of the configuration.
        given: Values of fields that the section does not have.
    """
    assert dataclasses.is_dataclass(kind)
    names = [field.name for field in dataclasses.fields(kind) if field.name not in given]
    return kind(**{name: getattr(section, name) for name in names}, **given)


def detector_spec(config: Config, num_classes: int) -> DetectorSpec:
    """The detector of a run on a pool of so many classes, with all written out that its options name files for."""
    return settled_spec(plain(DetectorSpec, config.detector, num_classes=num_classes))


def optimiser_settings(config: Config, labelled: LabelCounts) -> OptimiserSettings:
    """Length and speed of a round's training.

    Args:
        config: The run.
        labelled: What has labels, which decides the length of an epoch where the configuration leaves it open.
    """
    training, steps = config.training, config.training.steps_per_epoch
    if steps == "auto":
        clips: float = labelled.videos * training.clips_per_video
        if training.clips_per_frame is not None:
            clips = labelled.frames * training.clips_per_frame
        steps = max(math.ceil(clips / training.batch_size), 1)
    return plain(OptimiserSettings, training, steps_per_epoch=steps)


def feature_cache(config: Config) -> str | None:
    """Where features of a frozen encoder are kept; None keeps none."""
    location = config.detector.feature_cache
    return None if location is None else config.locate(location)


def actor_plan(config: Config) -> ActorPlan:
    """Who does the passes over videos."""
    return plain(ActorPlan, config.scoring, device=config.device, may_grow=config.cluster.may_grow)


def score_index(config: Config) -> str | None:
    """Where finished scorings are listed; None lists none."""
    location = config.scoring.score_index
    return None if location is None else config.locate(location)


def uncertainty_settings(config: Config, measure: str | None = None) -> UncertaintySettings:
    """How the videos of a run are scored.

    Args:
        config: The run.
        measure: Of the strategy, None for that of the configuration.

    Raises:
        UserError: There is no such measure, or it compares passes and there are too few of them.
    """
    scoring = config.scoring
    chosen = scoring.measure if measure is None else measure
    if chosen not in get_args(Measure):
        known = ", ".join(get_args(Measure))
        raise UserError(f"selection.strategy: asks for the measure {chosen!r}, expected one of {known}")
    # A clip whose ranking is asked for is judged by either half of its passes.
    fewest = scoring.passes if scoring.stable_ranking is None else min(scoring.passes, scoring.passes_at_once) // 2
    if chosen in COMPARE_PASSES and fewest < 2:
        raise UserError(
            f"scoring.passes: found {scoring.passes}, with passes_at_once={scoring.passes_at_once}; the measure "
            f"{chosen} compares passes, and needs two (two in each half where stable_ranking is set)"
        )
    return plain(
        UncertaintySettings,
        scoring,
        measure=chosen,
        frames_per_video=config.budget.frames_per_video,
        sigma=scoring.proximity_sigma,
        window=scoring.proximity_window,
    )


def scoring_arithmetic(config: Config) -> torch.dtype | None:
    """The number format that scoring may fall back to; None is that of the weights."""
    return torch.bfloat16 if config.scoring.precision == "bfloat16" else None


def held_out(config: Config, pool: Pool) -> HeldOut | None:
    """What the best epoch is chosen by. The split val comes with labels, which are no secret from training."""
    validation = config.training.validation
    if validation.source == "none":
        return None
    if validation.source == "labelled":
        return HeldOut(validation.fraction, patience=validation.patience)
    videos = pool.usable_videos("val")
    ids = [video.video_id for video in videos]
    labels = labels_of_tubes(pool.tubes_of(ids), pool.empty_frames_of(ids))
    return HeldOut(given=(videos, labels), patience=validation.patience)
