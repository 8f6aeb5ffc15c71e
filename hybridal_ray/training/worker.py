"""The training loop of one worker, the same in a process of its own and under Ray Train.

Everything random is seeded by run, round and epoch, so that an epoch that is done again after a fault is done
identically.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import DetectorSpec, normalise
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.pool.ledger import VideoLabels
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.batches import ClipSource, TrainingBatch, prefetched
from hybridal_ray.training.centres import start_centres
from hybridal_ray.training.colour import jitter_colours
from hybridal_ray.training.losses.actor_class import actor_class_loss
from hybridal_ray.training.losses.deep_clustering import clustering_loss, update_centres
from hybridal_ray.training.losses.mask import weighted_bce, weighted_dice
from hybridal_ray.training.sampling import draw_epoch, worker_share
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings

State = dict[str, Any]


class Session(Protocol):
    """What surrounds a worker: its place among the others, its device, and where checkpoints go."""

    rank: int
    world_size: int
    device: torch.device

    def wrap(self, detector: nn.Module) -> nn.Module:
        """The detector as it is called in training: on its device, its gradients averaged over the workers."""
        ...

    def resume(self) -> State | None:
        """The state of the last epoch that was kept, or None at the start."""
        ...

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        """Keeps the state of an epoch; called by every worker, the state is that of rank 0."""
        ...


@dataclass(frozen=True)
class TrainingTask:
    """What is to be trained.

    Attributes:
        spec: The detector.
        videos: The labelled videos.
        labels: Their labelled frames, in the same order.
        loss: Weighting of the loss.
        clustering: The deep-clustering term.
        optimiser: Length and speed of training.
        seed: Of the run.
        round_index: Which round; it takes part in every seed.
        initial_weights: State dict to start from, or None for fresh weights.
    """

    spec: DetectorSpec
    videos: Sequence[Video]
    labels: Sequence[VideoLabels]
    loss: LossSettings
    clustering: ClusteringSettings
    optimiser: OptimiserSettings
    seed: int
    round_index: int
    initial_weights: dict[str, Tensor] | None = field(default=None, repr=False)


def train(task: TrainingTask, session: Session) -> State:
    """Trains until the last epoch, from wherever the session's last checkpoint is.

    Args:
        task: What is to be trained.
        session: What surrounds this worker.

    Returns:
        The final state: ``weights``, ``centres`` (K, D) or None, ``counts``, ``epoch``, ``optimiser``, ``history``.

    Raises:
        UnreadableVideo: A labelled video can no longer be decoded.
    """
    _seed(task.seed)  # without the round: a cold start is from the same weights in every round
    detector = build_detector(task.spec)
    if task.initial_weights is not None:
        detector.load_state_dict(task.initial_weights)
    state = session.resume()
    if state is not None:
        detector.load_state_dict(state["weights"])
    model = session.wrap(detector)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=task.optimiser.learning_rate, weight_decay=task.optimiser.weight_decay
    )
    if state is None:
        state = {"epoch": 0, "centres": None, "counts": None, "history": []}
    else:
        optimiser.load_state_dict(state["optimiser"])
    cache = FrameCache(task.optimiser.cache_mib * 2**20, task.spec.input_size)
    source = ClipSource(task.videos, task.labels, task.spec, task.loss, cache)
    for epoch in range(state["epoch"], task.optimiser.epochs):
        state = _epoch(task, session, source, model, detector, optimiser, state, epoch)
    return state


def _epoch(
    task: TrainingTask,
    session: Session,
    source: ClipSource,
    model: nn.Module,
    detector: nn.Module,
    optimiser: torch.optim.Optimizer,
    state: State,
    epoch: int,
) -> State:
    started = time.perf_counter()
    _seed(task.seed, task.round_index, epoch + 1, session.rank)
    centres, counts = state["centres"], state["counts"]
    if centres is None and task.clustering.clusters and epoch >= task.clustering.start * task.optimiser.epochs:
        centres, counts = start_centres(
            detector, source, task.clustering.clusters, seed=task.seed, rank=session.rank, world_size=session.world_size
        )
    if centres is not None:
        centres, counts = centres.to(session.device), counts.to(session.device)
    model.train()
    sums: dict[str, Tensor] = {}
    steps = worker_share(_draws(task, epoch), task.optimiser.batch_size, session.rank, session.world_size)
    for step, batch in enumerate(prefetched(source, steps)):
        rate = learning_rate(task.optimiser, epoch * len(steps) + step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        terms, latents = _losses(task, model, batch.to(session.device), centres)
        optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        nn.utils.clip_grad_norm_(model.parameters(), task.optimiser.clip_norm)
        optimiser.step()
        if centres is not None:
            centres, counts = update_centres(centres, counts, latents)
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + term.detach().double()
    metrics = {
        "epoch": float(epoch),
        **_means_over_workers(sums, len(steps), session),
        "learning_rate": rate,
        "seconds": time.perf_counter() - started,
    }
    state = {
        "epoch": epoch + 1,
        "weights": detector.state_dict(),
        "optimiser": optimiser.state_dict(),
        "centres": centres,
        "counts": counts,
        "history": [*state["history"], metrics],
    }
    session.epoch_done(metrics, state)
    return state


def _losses(
    task: TrainingTask, model: nn.Module, batch: TrainingBatch, centres: Tensor | None
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of the loss on one batch, by name, and the latents (N, D)."""
    precision = _precision(task.optimiser.precision, batch.frames.device)
    with torch.autocast(batch.frames.device.type, dtype=precision, enabled=precision is not torch.float32):
        output = model(jitter_colours(normalise(batch.frames), task.optimiser.colour))
    logits = output.mask_logits.float()
    foreground = (batch.instances > 0).to(logits.dtype)
    terms = {
        "mask_loss": weighted_bce(logits, foreground, batch.weights)
        + task.loss.dice * weighted_dice(logits, foreground, batch.weights),
        "class_loss": actor_class_loss(output, batch.instances, batch.weights, batch.actor_classes),
    }
    total = terms["mask_loss"] + task.loss.classes * terms["class_loss"]
    if centres is not None:
        terms["clustering_loss"] = clustering_loss(output.latent, centres)
        total = total + task.clustering.beta * terms["clustering_loss"]
    terms["loss"] = total
    return terms, output.latent


def learning_rate(optimiser: OptimiserSettings, step: int) -> float:
    """The rate of a step: linear warm-up, then constant or a half cosine down to zero at the last step.

    Args:
        optimiser: Peak, schedule and lengths.
        step: From 0, over all epochs.
    """
    warm = min(1.0, (step + 1) / max(optimiser.warmup_steps, 1))
    if optimiser.schedule == "constant":
        return optimiser.learning_rate * warm
    done = step / (optimiser.epochs * optimiser.steps_per_epoch)
    return optimiser.learning_rate * warm * 0.5 * (1.0 + float(np.cos(np.pi * min(done, 1.0))))


def _draws(task: TrainingTask, epoch: int) -> list[Any]:
    return draw_epoch(
        [sorted(frames) for frames in task.labels],
        [video.num_frames for video in task.videos],
        clips=task.optimiser.steps_per_epoch * task.optimiser.batch_size,
        clip_frames=task.spec.clip_frames,
        clip_stride=task.spec.clip_stride,
        flip=task.optimiser.flip,
        generator=np.random.default_rng([task.seed, task.round_index, epoch]),
    )


def _seed(*parts: int) -> None:
    """Seeds torch's own generators, which weights, training dropout and colour augmentation draw from."""
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1)


def _precision(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" and torch.cuda.is_bf16_supported() else torch.float32
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def _means_over_workers(sums: dict[str, Tensor], steps: int, session: Session) -> dict[str, float]:
    values = torch.stack(list(sums.values())) / (steps * session.world_size)
    if session.world_size > 1:
        dist.all_reduce(values)
    return dict(zip(sums, values.tolist(), strict=True))
