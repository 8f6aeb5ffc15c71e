"""What would fail hours later, or after people have labelled, found before a run begins."""

from collections.abc import Collection

import torch

from hybridal_ray import cluster
from hybridal_ray.config import FREE_BESIDE_START_SCORES, FREE_UNTIL, Config
from hybridal_ray.config_values import detector_spec, uncertainty_settings
from hybridal_ray.detectors.building import build_detector
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import asks_people, goes_unmeasured, people_of, refuse_options
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.selection.request import measure_of
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.start_scores import PRETRAINED, check_start
from hybridal_ray.training.first_weights import pretrained_weights


def check_settings(config: Config) -> None:
    """Builds what the configuration names and needs no pool for.

    Raises:
        UserError: A name or option is unknown, or a file is not there; the message names the field.
    """
    uncertainty_settings(config, measure_of(build_strategy(config.selection.strategy, config.selection.options)))
    check_start(config)
    if asks_people(config):
        people_of(config)
    else:
        refuse_options(config)
    pretrained = config.detector.pretrained
    if pretrained is not None and not storage.exists(config.locate(pretrained)):
        raise UserError(
            f"detector.pretrained: {config.locate(pretrained)} is not there; expected a file of weights, or null for "
            "random ones"
        )


def check_labels(config: Config, pool: Pool) -> None:
    """Looks for the labels that training and evaluation go by besides those that are bought.

    Raises:
        UserError: A split has none; the message names the field that asks for it.
    """
    if config.training.validation.source == "val":
        ids = [video.video_id for video in pool.usable_videos("val")]
        if not len(pool.tubes_of(ids)) and not len(pool.empty_frames_of(ids)):
            raise UserError(
                f"training.validation.source: no video of the split 'val' of {pool.root} has labels, expected at least "
                "one, or another source"
            )
    split = config.evaluation.split
    ids = [video.video_id for video in pool.usable_videos(split)]
    if not goes_unmeasured(config, pool, split) and not len(pool.tubes_of(ids)):
        raise UserError(
            f"evaluation.split: no video of the split {split!r} of {pool.root} has a box, expected at least one to "
            "compare with, or another split"
        )


def free_until(config: Config) -> dict[str, Collection[str]]:
    """The fields that may change until a stage is done in some round, by the stage; see `RunStore.open`."""
    scored = check_start(config) and config.selection.start_latents == PRETRAINED
    return {**FREE_UNTIL, **({"score": FREE_BESIDE_START_SCORES} if scored else {})}


def check_detector(config: Config, num_classes: int) -> None:
    """Builds the detector, and reads the weights it begins with, for labels are bought before it is trained.

    Args:
        config: The run.
        num_classes: Of the pool.

    Raises:
        UserError: The detector cannot be built, cannot take the clips, or the weights do not fit it.
    """
    spec, pretrained = detector_spec(config, num_classes), config.detector.pretrained
    if pretrained is not None:
        partial = config.detector.allow_partial
        pretrained_weights(spec, config.locate(pretrained), allow_partial=partial, seed=config.seed)
        return
    with torch.random.fork_rng(devices=[]):
        build_detector(spec)


def check_cluster(config: Config) -> None:
    """Connects to Ray where the run uses it, and looks whether there is room.

    Raises:
        UserError: No cluster answers, or it is too small and does not grow.
    """
    if not config.uses_ray:
        return
    cluster.connect()
    if not config.cluster.may_grow:
        training, scoring = config.training, config.scoring
        actors = 1 if scoring.actors == "auto" else scoring.actors
        cluster.check_room(
            {
                "training.workers": (training.workers, training.cpus_per_worker, training.gpus_per_worker),
                "scoring.actors": (actors, scoring.cpus_per_actor, scoring.gpus_per_actor),
            }
        )
