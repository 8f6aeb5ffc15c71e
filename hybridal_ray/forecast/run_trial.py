"""A short trial of a run's stages in this process, and what follows from it for the cluster."""

import functools
import os
from collections.abc import Sequence
from dataclasses import replace

import torch

from hybridal_ray.config import Config
from hybridal_ray.config_values import (
    actor_plan,
    detector_spec,
    optimiser_settings,
    plain,
    scoring_arithmetic,
    uncertainty_settings,
)
from hybridal_ray.detectors.checkpoint import choose_device
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.evaluator import detect_videos
from hybridal_ray.forecast.trial import (
    frames_per_second,
    fresh_checkpoint,
    made_up_labels,
    seconds_per_step,
    spread,
    torch_threads,
)
from hybridal_ray.pool.ledger import LabelCounts
from hybridal_ray.pool.tables import Pool, Video
from hybridal_ray.run_end import VALIDATION
from hybridal_ray.scoring.pool_scorer import score_pool
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, SamplingSettings
from hybridal_ray.training.task import TrainingTask

SECONDS = {"train": 9.0, "score": 8.0, "evaluate": 4.0, "validate": 2.0}  # for a trial of each stage
VIDEOS = 40  # at most, in a trial
VIDEOS_TRAINED_ON = 8

ALONE = (
    "measured here: in this process with a detector of random weights; every worker and actor is taken to have cores "
    "or a GPU of its own, as fast as these; their start and the exchange of gradients do not count"
)
NO_GPU = "measured here on a CPU, for there is no GPU: with gpus_per_worker and gpus_per_actor it takes less"


class Trial:
    """Measures stages when it is asked for them.

    Args:
        config: The run.
        pool: Its pool.
        labelled: What has labels when the round is trained.

    Attributes:
        notes: What was assumed in the measurements so far.
    """

    def __init__(self, config: Config, pool: Pool, labelled: LabelCounts) -> None:
        self.notes: list[str] = []
        self._labelled = labelled
        self._config = config
        self._pool = pool
        self._spec = detector_spec(config, len(pool.classes))

    def stage(self, name: str) -> tuple[float | None, str]:
        """Expected seconds of a stage on the cluster, None where none can be told, and what they are taken from."""
        if name == "select":
            return None, "not measured; mostly seconds"
        if not self.notes:
            self.notes.append(ALONE)
            wants_gpu = self._config.training.gpus_per_worker or self._config.scoring.gpus_per_actor
            if wants_gpu and not torch.cuda.is_available():
                self.notes.append(NO_GPU)
        return self._training() if name == "train" else self._pass(name)

    def _training(self) -> tuple[float, str]:
        config, training = self._config, self._config.training
        workers = max(training.workers, 1)
        optimiser = optimiser_settings(config, self._labelled)
        videos = spread(self._pool.usable_videos("train"), VIDEOS_TRAINED_ON)
        task = TrainingTask(
            spec=self._spec,
            labelled=made_up_labels(videos, config.budget.frames_per_video),
            loss=plain(LossSettings, training.loss),
            clustering=plain(ClusteringSettings, config.clustering),
            optimiser=replace(optimiser, batch_size=training.batch_size // workers),
            sampling=plain(SamplingSettings, training),
            seed=config.seed,
            round_index=0,
        )
        device = choose_device(_device(config, training.workers, training.gpus_per_worker))
        with torch_threads(_threads(training.workers, training.cpus_per_worker)):
            step = seconds_per_step(task, device, seconds=SECONDS["train"])
        steps = optimiser.epochs * optimiser.steps_per_epoch
        share = f"{task.optimiser.batch_size} of {training.batch_size} clips on each of {workers} workers"
        return steps * step, f"measured here: {step:.3f} s a step × {steps:,} steps, {share}"

    def _pass(self, name: str) -> tuple[float, str]:
        config, plan = self._config, actor_plan(self._config)
        actors = (os.cpu_count() or 1) // plan.cpus_per_actor if plan.actors == "auto" else plan.actors
        actors = max(int(actors), 1)
        splits = {"evaluate": config.evaluation.split, "validate": VALIDATION, "score": "train"}
        videos = self._pool.usable_videos(splits[name])
        here = replace(plan, actors=0, device=_device(config, plan.actors, plan.gpus_per_actor))
        runs = {"score": self._scoring, "evaluate": self._detection, "validate": self._detection}
        with (
            fresh_checkpoint(self._spec) as checkpoint,
            torch_threads(_threads(plan.actors, plan.cpus_per_actor)),
        ):
            run = functools.partial(runs[name], here, checkpoint)
            rate = frames_per_second(run, spread(videos, VIDEOS), seconds=SECONDS[name])
        part = config.scoring.pool_fraction if name == "score" else 1
        frames = part * sum(video.num_frames for video in videos)
        basis = f"measured here: {frames:,.0f} frames at {rate:,.0f} frames/s on each of {actors} actors"
        return frames / (rate * actors), basis

    def _scoring(self, plan: ActorPlan, checkpoint: str, videos: Sequence[Video], out_dir: str) -> float:
        config = self._config
        return score_pool(
            videos,
            {},
            checkpoint,
            out_dir,
            settings=uncertainty_settings(config),
            shortcuts=plain(Shortcuts, config.scoring),
            autocast=scoring_arithmetic(config),
            run_seed=config.seed,
            round_index=0,
            plan=plan,
        ).seconds

    def _detection(self, plan: ActorPlan, checkpoint: str, videos: Sequence[Video], out_dir: str) -> float:
        settings = plain(DetectionSettings, self._config.evaluation)
        return detect_videos(videos, checkpoint, out_dir, num_classes=None, settings=settings, plan=plan).seconds


def _device(config: Config, remote: int | str, gpus: float) -> str:
    """Where a stage is measured: on a GPU if its workers have one each and there is one here."""
    if remote == 0:
        return config.device
    return "auto" if gpus else "cpu"


def _threads(remote: int | str, cpus: float) -> int | None:
    """Threads of torch in each of the remote workers; None where the stage runs in the loop's own process."""
    return None if remote == 0 else max(int(cpus), 1)
