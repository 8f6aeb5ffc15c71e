"""Training as one stage of a round, on Ray Train or in this process: the Ray edge of training."""

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import nn

from hybridal_ray.detectors.checkpoint import choose_device, load_detector, save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.ledger import labels_by_video
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings
from hybridal_ray.training.worker import State, TrainingTask, train

STATE_FILE = "state.pt"
EpochProgress = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class TrainingSummary:
    """What a round's training came to.

    Attributes:
        checkpoint: Directory of the trained detector.
        epochs: Epochs trained, those before a restart included.
        loss: Mean loss of the last epoch.
    """

    checkpoint: str
    epochs: int
    loss: float


def train_round(
    *,
    spec: DetectorSpec,
    videos: Sequence[Video],
    labels: pa.Table,
    out_dir: str,
    loss: LossSettings,
    clustering: ClusteringSettings,
    optimiser: OptimiserSettings,
    seed: int,
    round_index: int,
    initial_checkpoint: str | None,
    workers: int,
    cpus_per_worker: float,
    gpus_per_worker: float,
    device: str,
    max_failures: int,
    progress: EpochProgress | None = None,
) -> TrainingSummary:
    """Trains the detector of a round and leaves it in ``out_dir/checkpoint``, its history in ``out_dir/history.json``.

    A training that was cut off goes on from its last epoch. Videos without a labelled frame take no part.

    Args:
        spec: The detector.
        videos: Videos of the training split.
        labels: The ledger (`LABELS_SCHEMA`), rows of other videos included.
        out_dir: Directory or URI of the stage.
        loss: Weighting of the loss.
        clustering: The deep-clustering term.
        optimiser: Length and speed of training.
        seed: Of the run.
        round_index: Which round.
        initial_checkpoint: Detector to start from (warm), or None for fresh weights (cold).
        workers: Ray Train workers; 0 trains in this process, without Ray.
        cpus_per_worker: CPUs, and torch threads, of each.
        gpus_per_worker: GPUs of each.
        device: Used when `workers` is 0; see `choose_device`.
        max_failures: Times that lost workers are started again from the last checkpoint.
        progress: Called with the metrics of each epoch, where this process sees them.

    Raises:
        UserError: Nothing is labelled, or the batch does not divide over the workers.
        UnreadableVideo: A labelled video can no longer be decoded.
    """
    by_video = labels_by_video(labels)
    labelled = [video for video in videos if video.video_id in by_video]
    if len(labelled) < max(workers, 1):
        raise UserError(f"training: {len(labelled)} videos have labels, expected at least one a worker ({workers})")
    if optimiser.batch_size % max(workers, 1):
        raise UserError(
            f"training.batch_size: {optimiser.batch_size} clips do not divide evenly over {workers} workers"
        )
    task = TrainingTask(
        spec=spec,
        videos=labelled,
        labels=[by_video[video.video_id] for video in labelled],
        loss=loss,
        clustering=clustering,
        optimiser=optimiser,
        seed=seed,
        round_index=round_index,
        initial_weights=load_detector(initial_checkpoint).detector.state_dict() if initial_checkpoint else None,
    )
    if workers == 0:
        state = train(task, _LocalSession(choose_device(device), out_dir, progress))
    else:
        state = _train_on_ray(task, out_dir, workers, cpus_per_worker, gpus_per_worker, max_failures)
    checkpoint = storage.join(out_dir, "checkpoint")
    save_detector(checkpoint, spec, state["weights"], state["centres"])
    storage.write_json(storage.join(out_dir, "history.json"), state["history"])
    return TrainingSummary(checkpoint, epochs=state["epoch"], loss=state["history"][-1]["loss"])


def epoch_line(metrics: Mapping[str, float]) -> str:
    """What is said of an epoch in a log."""
    return f"epoch {metrics['epoch']:.0f}: loss {metrics['loss']:.4f}, {metrics['seconds']:.1f} s"


class _LocalSession:
    """One worker in this process; the state of the last epoch lies beside the stage's results."""

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device, out_dir: str, progress: EpochProgress | None) -> None:
        self.device = device
        self.location = storage.join(out_dir, STATE_FILE)
        self.progress = progress

    def wrap(self, detector: nn.Module) -> nn.Module:
        return detector.to(self.device)

    def resume(self) -> State | None:
        if not storage.exists(self.location):
            return None
        return torch.load(pa.BufferReader(storage.read_bytes(self.location)), map_location="cpu", weights_only=True)

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        sink = pa.BufferOutputStream()
        torch.save(state, sink)
        storage.write_bytes(self.location, sink.getvalue().to_pybytes())
        if self.progress is not None:
            self.progress(metrics)


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
    train(config["task"], _RaySession())


def _train_on_ray(task: TrainingTask, out_dir: str, workers: int, cpus: float, gpus: float, max_failures: int) -> State:
    os.environ.setdefault("RAY_TRAIN_ENABLE_PRINT_PATCH", "0")
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.5")  # reports are collected this often
    import ray.train
    import ray.train.torch

    trainer = ray.train.torch.TorchTrainer(
        _worker,
        train_loop_config={"task": task, "threads": max(int(cpus), 1)},
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": cpus, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            name="ray",
            storage_path=out_dir if storage.is_uri(out_dir) else os.path.abspath(out_dir),
            failure_config=ray.train.FailureConfig(max_failures=max_failures, controller_failure_limit=3),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=2),
            logging_config=ray.train.LoggingConfig(log_level="WARNING"),
        ),
        torch_config=ray.train.torch.TorchConfig(backend="nccl" if gpus else "gloo"),
    )
    try:
        result = trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise _mendable(error) from error
    return _read_state(result.checkpoint)


def _mendable(error: Exception) -> Exception:
    """The worker's own error where it is one the user can mend, else the error itself."""
    failures = getattr(error, "worker_failures", {})
    return next((own for own in failures.values() if isinstance(own, UserError | UnreadableVideo)), error)


def _read_state(checkpoint: Any) -> State:
    with checkpoint.as_directory() as directory:
        return torch.load(Path(directory, STATE_FILE), map_location="cpu", weights_only=True)
