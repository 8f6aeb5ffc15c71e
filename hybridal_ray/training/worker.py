"""The training loop of one worker, the same in a process of its own and under Ray Train.

Everything random is seeded by run, round and epoch, so that an epoch that is done again after a fault is done
identically.
"""

import math
import time
from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from hybridal_ray.errors import UserError
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.training.batches import ClipSource, prefetched
from hybridal_ray.training.centres import start_centres
from hybridal_ray.training.learner import Learner
from hybridal_ray.training.memory import peak_memory_mib
from hybridal_ray.training.optimisation import learning_rate
from hybridal_ray.training.sampling import ClipDraw, draw_epoch, mix_in_unlabelled, worker_share
from hybridal_ray.training.seeding import seed_torch
from hybridal_ray.training.task import Session, State, TrainingTask
from hybridal_ray.training.validation import keep_best, validation_draws, validation_loss


def train(task: TrainingTask, session: Session) -> State:
    """Trains until the last epoch, or until validation ends it, from wherever the session's last checkpoint is.

    Args:
        task: What is to be trained.
        session: What surrounds this worker.

    Returns:
        The final state: what `Learner.state` holds, ``epoch``, ``history``, and ``best``, see `keep_best`, or None
        without validation.

    Raises:
        UnreadableVideo: A labelled video can no longer be decoded.
        UserError: The detector cannot be built, a batch does not fit the GPU, or the training has diverged.
    """
    if session.device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # every batch has the same shape
    seed_torch(task.seed)  # without the round: a cold start is from the same weights in every round
    learner = Learner(task, session)
    state = session.resume()
    if state is None:
        state = {"epoch": 0, "history": [], "best": None}
    else:
        learner.restore(state)
    sources = _Sources(task)
    while state["epoch"] < task.optimiser.epochs and not _ended_by_validation(task, state):
        state = _epoch(task, session, sources, learner, state)
    return state


def final_weights(state: State) -> tuple[dict[str, Tensor], Tensor | None]:
    """What a training leaves: the best epoch where one was chosen, else the average where there is one, else the last.

    Args:
        state: From `train`.

    Returns:
        State dict of the detector, and the centres (K, D) that belong to it, or None.
    """
    if state["best"] is not None:
        return state["best"]["weights"], state["best"]["centres"]
    if state["averaged"] is not None:
        prefix = "module."
        averaged = {name: tensor for name, tensor in state["averaged"].items() if name.startswith(prefix)}
        return {name.removeprefix(prefix): tensor for name, tensor in averaged.items()}, state["centres"]
    return state["weights"], state["centres"]


class _Sources:
    """The clips that are trained on and those held out."""

    def __init__(self, task: TrainingTask) -> None:
        cache = FrameCache(task.optimiser.cache_mib * 2**20, task.spec.input_size, task.pool_root)
        videos = [*task.labelled.videos, *task.unlabelled]
        labels = [*task.labelled.labels, *({} for _ in task.unlabelled)]
        self.trained = ClipSource(videos, labels, task.spec, task.loss, cache)
        self.validated = None
        if task.validation is not None:
            held_out = task.validation
            self.validated = ClipSource(held_out.videos, held_out.labels, task.spec, task.loss, cache)


def _epoch(task: TrainingTask, session: Session, sources: _Sources, learner: Learner, state: State) -> State:
    started, cpu_started = time.perf_counter(), time.process_time()
    epoch, length = state["epoch"], task.optimiser.steps_per_epoch
    seed_torch(task.seed, task.round_index, epoch + 1, session.rank)
    if learner.centres is None and task.clustering.clusters and epoch >= _first_clustered_epoch(task):
        learner.centres, learner.counts = start_centres(
            learner.detector,
            sources.trained,
            task.clustering.clusters,
            videos=len(task.labelled.videos),
            seed=task.seed,
            rank=session.rank,
            world_size=session.world_size,
        )
    learner.train_mode()
    sums: dict[str, Tensor] = {}
    waited, skipped = 0.0, learner.skipped
    parts_of_epoch = _parts(task, session, sources, epoch, learner.centres is not None)
    batches = prefetched(sources.trained, parts_of_epoch, task.optimiser.loaders)
    for step in range(epoch * length, (epoch + 1) * length):
        asked = time.perf_counter()
        parts = list(islice(batches, task.optimiser.accumulate))
        waited += time.perf_counter() - asked
        rate = learning_rate(task.optimiser, step)
        for name, term in learner.step(parts, rate, step / (length * task.optimiser.epochs)).items():
            sums[name] = sums.get(name, 0.0) + term / length
    if learner.skipped - skipped == length:
        _refuse_divergence(learner, epoch, sums["loss"])
    metrics = {"epoch": float(epoch), **_means_over_workers(sums, session), "learning_rate": rate}
    trained = time.perf_counter() - started
    metrics |= {
        "waiting_share": waited / trained,
        "skipped_steps": float(learner.skipped - skipped),
        "clips_per_second": length * task.optimiser.batch_size / trained,
        **_memory_of_workers(session),
    }
    best = state["best"]
    if sources.validated is not None and task.validation is not None:
        draws = validation_draws(sources.validated, task.validation.videos)
        metrics["validation_loss"] = validation_loss(learner, sources.validated, draws, session)
        if learner.centres is not None or not task.clustering.clusters:  # what is kept has its centres
            best = keep_best(best, learner, epoch, metrics["validation_loss"])
    metrics |= {
        "seconds": time.perf_counter() - started,
        "cpu_seconds": time.process_time() - cpu_started,
        "ended_at": time.time(),
    }
    state = {**learner.state(), "epoch": epoch + 1, "history": [*state["history"], metrics], "best": best}
    session.epoch_done(metrics, state)
    return state


def _first_clustered_epoch(task: TrainingTask) -> int:
    """The last epoch at the latest, for the round's detector is left with centres."""
    return min(math.ceil(task.clustering.start * task.optimiser.epochs), task.optimiser.epochs - 1)


def _refuse_divergence(learner: Learner, epoch: int, loss: Tensor) -> None:
    """Ends a training that took no step in an epoch; in float16 it may still be looking for the scale of its loss."""
    if learner.scaler.is_enabled() and bool(loss.isfinite()):
        return
    raise UserError(
        f"training: not one gradient of epoch {epoch} was finite; expected a training.learning_rate below "
        f"{learner.task.optimiser.learning_rate:g}, or training.precision=float32"
    )


def _ended_by_validation(task: TrainingTask, state: State) -> bool:
    best = state["best"]
    return best is not None and task.patience is not None and state["epoch"] - 1 - best["epoch"] >= task.patience


def _parts(
    task: TrainingTask, session: Session, sources: _Sources, epoch: int, clustering: bool
) -> list[Sequence[ClipDraw]]:
    """The clips that this worker runs in an epoch, cut into what it runs at once."""
    generator = np.random.default_rng([task.seed, task.round_index, epoch])
    clips = {"clip_frames": task.spec.clip_frames, "clip_stride": task.spec.clip_stride}
    labelled = len(task.labelled.videos)
    draws = draw_epoch(
        sources.trained.labelled[:labelled],
        [video.num_frames for video in task.labelled.videos],
        [sources.trained.classes(index) for index in range(labelled)],
        clips=task.optimiser.steps_per_epoch * task.optimiser.batch_size,
        **clips,
        sampling=task.sampling,
        generator=generator,
    )
    if clustering and task.unlabelled and task.sampling.unlabelled:
        draws = mix_in_unlabelled(
            draws,
            [video.num_frames for video in task.unlabelled],
            first=labelled,
            batch_size=task.optimiser.batch_size,
            **clips,
            sampling=task.sampling,
            generator=generator,
        )
    steps = worker_share(draws, task.optimiser.batch_size, session.rank, session.world_size)
    at_once = task.optimiser.batch_size // (session.world_size * task.optimiser.accumulate)
    return [step[first : first + at_once] for step in steps for first in range(0, len(step), at_once)]


def _means_over_workers(sums: dict[str, Tensor], session: Session) -> dict[str, float]:
    values = torch.stack(list(sums.values())) / session.world_size
    if session.world_size > 1:
        dist.all_reduce(values)
    return dict(zip(sums, values.tolist(), strict=True))


def _memory_of_workers(session: Session) -> dict[str, float]:
    """The peak of each worker, in MiB, by rank."""
    peaks = torch.zeros(session.world_size, dtype=torch.float64, device=session.device)
    peaks[session.rank] = peak_memory_mib(session.device)
    if session.world_size > 1:
        dist.all_reduce(peaks)
    return {f"peak_memory_mib_{rank}": peak for rank, peak in enumerate(peaks.tolist())}
