"""Training as one stage of a round, on Ray Train or in this process: the Ray edge of training."""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.checkpoint import choose_device, save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.ledger import labels_by_video
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.fault_note import fresh_note, noting_faults
from hybridal_ray.training.held_out import HeldOut, divide_labels
from hybridal_ray.training.local_session import STATE_FILE, EpochProgress, LocalSession
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.task import LabelledVideos, State, TrainingTask
from hybridal_ray.training.worker import final_weights, train

RAY_RUN = "ray"  # the directory in which Ray Train keeps its state
START_SECONDS = 1800  # for workers to start, nodes that are added included, as for the actors of a pass
START_RETRIES = 3


@dataclass(frozen=True)
class TrainingSummary:
    """What a round's training came to.

    Attributes:
        checkpoint: Directory of the trained detector.
        epochs: Epochs trained, those before a restart included.
        loss: Mean loss of the epoch whose weights it has.
        best_epoch: That epoch, from 0.
    """

    checkpoint: str
    epochs: int
    loss: float
    best_epoch: int


@dataclass(frozen=True)
class Workers:
    """Who trains.

    Attributes:
        workers: Ray Train workers; 0 trains in this process, without Ray.
        cpus_per_worker: CPUs, and torch threads, of each.
        gpus_per_worker: GPUs of each.
        device: Used when `workers` is 0; see `choose_device`.
        max_failures: Times that lost workers are started again from the last checkpoint.
    """

    workers: int
    cpus_per_worker: float
    gpus_per_worker: float
    device: str
    max_failures: int


def train_round(
    *,
    spec: DetectorSpec,
    videos: Sequence[Video],
    labels: pa.Table,
    out_dir: str,
    loss: LossSettings,
    clustering: ClusteringSettings,
    optimiser: OptimiserSettings,
    sampling: SamplingSettings,
    held_out: HeldOut | None,
    seed: int,
    round_index: int,
    initial_weights: dict[str, Tensor] | None,
    workers: Workers,
    pool_root: str | None = None,
    progress: EpochProgress | None = None,
) -> TrainingSummary:
    """Trains the detector of a round and leaves it in ``out_dir/checkpoint``, its history in ``out_dir/history.json``.

    A training that was cut off goes on from its last epoch. Videos without a labelled frame take part in the
    clustering term alone, and only where `sampling` says so.

    Args:
        spec: The detector.
        videos: Videos of the training split.
        labels: The ledger (`LABELS_SCHEMA`), rows of other videos included.
        out_dir: Directory or URI of the stage.
        loss: Weighting of the loss.
        clustering: The deep-clustering term.
        optimiser: Length and speed of training.
        sampling: Choice and augmentation of clips.
        held_out: What the best epoch is chosen by; None takes the last.
        seed: Of the run.
        round_index: Which round.
        initial_weights: State dict to start from (warm, or pretrained), or None for fresh weights (cold).
        workers: Who trains.
        pool_root: The pool, beside which the seek points of its long videos are kept; None keeps them in memory.
        progress: Called with the metrics of each epoch, where this process sees them.

    Raises:
        UserError: Nothing is labelled, or the batch does not divide over the workers, or does not fit their GPUs.
        UnreadableVideo: A labelled video can no longer be decoded.
    """
    by_video = labels_by_video(labels)
    labelled, validation = divide_labels(videos, by_video, held_out, seed)
    _check(labelled, optimiser, workers.workers)
    task = TrainingTask(
        spec=spec,
        labelled=labelled,
        loss=loss,
        clustering=clustering,
        optimiser=optimiser,
        sampling=sampling,
        seed=seed,
        round_index=round_index,
        validation=validation,
        patience=None if held_out is None else held_out.patience,
        unlabelled=[video for video in videos if video.video_id not in by_video] if sampling.unlabelled else [],
        pool_root=pool_root,
        initial_weights=initial_weights,
    )
    if workers.workers == 0:
        state = train(task, LocalSession(choose_device(workers.device), out_dir, progress))
    else:
        state = _train_on_ray(task, out_dir, workers)
    return _keep(spec, state, out_dir)


def _check(labelled: LabelledVideos, optimiser: OptimiserSettings, workers: int) -> None:
    if len(labelled.videos) < max(workers, 1):
        raise UserError(
            f"training: {len(labelled.videos)} videos have labels, expected at least one a worker ({workers})"
        )
    if optimiser.batch_size % (max(workers, 1) * optimiser.accumulate):
        raise UserError(
            f"training.batch_size: {optimiser.batch_size} clips do not divide evenly over {max(workers, 1)} workers"
            f" × {optimiser.accumulate} parts (training.accumulate)"
        )


def _keep(spec: DetectorSpec, state: State, out_dir: str) -> TrainingSummary:
    """Writes what a training leaves."""
    checkpoint = storage.join(out_dir, "checkpoint")
    save_detector(checkpoint, spec, *final_weights(state))
    history = state["history"]
    storage.write_json(storage.join(out_dir, "history.json"), history)
    best = state["epoch"] - 1 if state["best"] is None else state["best"]["epoch"]
    return TrainingSummary(checkpoint, epochs=state["epoch"], loss=history[best]["loss"], best_epoch=best)


def forget_epochs(out_dir: str) -> None:
    """Removes what a training keeps to go on after an interruption, once its stage is done: several times the weights.

    Args:
        out_dir: Where `train_round` left its results.
    """
    storage.remove(storage.join(out_dir, STATE_FILE))
    storage.remove_directory(storage.join(out_dir, RAY_RUN))


def epoch_line(metrics: Mapping[str, float]) -> str:
    """What is said of an epoch in a log."""
    return f"epoch {metrics['epoch']:.0f}: loss {metrics['loss']:.4f}, {metrics['seconds']:.1f} s"


class _RaySession:
    """One worker of a Ray Train group."""

    def __init__(self) -> None:
        import ray.train
        import ray.train.torch

        context = ray.train.get_context()
        self.rank: int = context.get_world_rank()
        self.world_size: int = context.get_world_size()
        self.device: torch.device = ray.train.torch.get_device()

    def wrap(self, detector: nn.Module) -> nn.Module:
        import ray.train.torch

        if self.world_size > 1 and self.device.type == "cuda":  # batch statistics of a small share are too rough
            detector = nn.SyncBatchNorm.convert_sync_batchnorm(detector)
        return ray.train.torch.prepare_model(detector)

    def resume(self) -> State | None:
        import ray.train

        checkpoint = ray.train.get_checkpoint()
        return None if checkpoint is None else _read_state(checkpoint)

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        import ray.train

        if self.rank == 0:
            print(epoch_line(metrics), flush=True)  # Ray brings it to the job's log
        name = f"epoch-{state['epoch']:04d}"
        if self.rank != 0:
            ray.train.report(metrics, checkpoint_dir_name=name)
            return
        with tempfile.TemporaryDirectory() as directory:
            torch.save(state, Path(directory, STATE_FILE))
            ray.train.report(
                metrics, checkpoint=ray.train.Checkpoint.from_directory(directory), checkpoint_dir_name=name
            )


def _worker(config: dict[str, Any]) -> None:
    # A hint about speed that DDP prints for every 1 × 1 convolution.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    # Ray tells each report of each worker, through a logger that its own logging_config does not reach.
    logging.disable(logging.INFO)
    torch.set_num_threads(config["threads"])
    with noting_faults(config["note"]):
        train(config["task"], _RaySession())


def _train_on_ray(task: TrainingTask, out_dir: str, workers: Workers) -> State:
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # reports are collected this often
    # Nodes that an autoscaler adds fetch an image first; a minute, Ray's default, is tried but a few times.
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_SECONDS / (START_RETRIES + 1)))
    import ray.train
    import ray.train.torch

    location = storage.filesystem(out_dir)[1] if storage.is_uri(out_dir) else os.path.abspath(out_dir)
    _drop_broken_snapshot(storage.join(out_dir, RAY_RUN))
    note = fresh_note(storage.join(out_dir if storage.is_uri(out_dir) else location, RAY_RUN))

    cpus, gpus = workers.cpus_per_worker, workers.gpus_per_worker
    trainer = ray.train.torch.TorchTrainer(
        _worker,
        train_loop_config={"task": task, "threads": max(int(cpus), 1), "note": note},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers.workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            name=RAY_RUN,
            storage_path=location,
            # Ray would read characters of a key as parts of a URI.
            storage_filesystem=storage.filesystem(out_dir)[0] if storage.is_uri(out_dir) else None,
            failure_config=ray.train.FailureConfig(
                max_failures=workers.max_failures, controller_failure_limit=START_RETRIES
            ),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
        torch_config=ray.train.torch.TorchConfig(backend="nccl" if gpus else "gloo"),
    )
    try:
        result = trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _mendable(error, workers) from error
    return _read_state(result.checkpoint)


def _mendable(error: Exception, workers: Workers) -> Exception:
    """What the user can mend: a worker's own error, or that no workers came; else the error itself."""
    # By its name, for Ray has the class among its internals.
    if type(getattr(error, "controller_failure", None)).__name__ == "WorkerGroupStartupTimeoutError":
        return UserError(
            f"training.workers={workers.workers}: so many of {workers.cpus_per_worker:g} CPU and "
            f"{workers.gpus_per_worker:g} GPU each did not come within {START_SECONDS // 60} minutes; expected a "
            "cluster that has, or adds, room for them"
        )
    failures = getattr(error, "worker_failures", {})
    return next((own for own in failures.values() if isinstance(own, UserError | UnreadableVideo)), error)


def _drop_broken_snapshot(directory: str) -> None:
    """Removes what Ray cannot go on with: it does not write its snapshot atomically, and fails on half of one."""
    location = storage.join(directory, "checkpoint_manager_snapshot.json")
    if storage.exists(location):
        try:
            json.loads(storage.read_bytes(location))
        except ValueError:
            storage.remove_directory(directory)


def _read_state(checkpoint: Any) -> State:
    with checkpoint.as_directory() as directory:
        return torch.load(Path(directory, STATE_FILE), map_location="cpu", weights_only=True)
