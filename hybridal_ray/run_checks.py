"""What would fail hours later, or after people have labelled, found before a run begins."""

import torch

from hybridal_ray import cluster
from hybridal_ray.config import Config
from hybridal_ray.config_values import detector_spec, uncertainty_settings
from hybridal_ray.detectors.building import build_detector
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import asks_people, people_of
from hybridal_ray.pool import storage
from hybridal_ray.selection.request import measure_of
from hybridal_ray.selection.strategies import build_strategy
from hybridal_ray.start_scores import check_start
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
    pretrained = config.detector.pretrained
    if pretrained is not None and not storage.exists(config.locate(pretrained)):
        raise UserError(
            f"detector.pretrained: {config.locate(pretrained)} is not there; expected a file of weights, or null for "
            "random ones"
        )


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
