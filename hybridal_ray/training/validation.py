"""Choosing the best epoch by the loss on videos that are labelled but not trained on."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.distributed as dist

from hybridal_ray.detectors.interface import normalise
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.batches import ClipSource
from hybridal_ray.training.learner import Learner
from hybridal_ray.training.objective import batch_loss
from hybridal_ray.training.sampling import ClipDraw, clip_starts
from hybridal_ray.training.task import Session, State

CLIPS_PER_VIDEO = 4


def validation_draws(source: ClipSource, videos: Sequence[Video]) -> list[ClipDraw]:
    """A few clips of each video around labelled frames spread evenly over it, not augmented, the same every time."""
    draws = []
    for index, video in enumerate(videos):
        labelled = source.labelled[index]
        spread = np.linspace(0, len(labelled) - 1, min(CLIPS_PER_VIDEO, len(labelled))).round().astype(int)
        for anchor in (labelled[place] for place in spread):
            starts = clip_starts(anchor, video.num_frames, source.spec.clip_frames, source.spec.clip_stride)
            draws.append(ClipDraw(index, starts[len(starts) // 2], flipped=False))
    return draws


@torch.no_grad()
def validation_loss(learner: Learner, source: ClipSource, draws: Sequence[ClipDraw], session: Session) -> float:
    """Mean loss over the clips, without dropout, augmentation and the clustering term; every worker does its share.

    Args:
        learner: Its evaluated detector is measured.
        source: Of the videos held out.
        draws: From `validation_draws`.
        session: What surrounds this worker.
    """
    detector = learner.evaluated
    was_training = detector.training
    detector.eval()
    sums = torch.zeros(2, dtype=torch.float64, device=session.device)
    for draw in draws[session.rank :: session.world_size]:
        batch = source.batch([draw]).to(session.device)
        classes = learner.drawn_classes(batch.instances, batch.weights, batch.actor_classes)
        output = learner.predict(detector, normalise(batch.frames), classes)
        terms = batch_loss(
            output, batch.instances, batch.weights, batch.actor_classes, settings=learner.task.loss, progress=1.0
        )
        sums += torch.stack([terms["loss"].double(), torch.ones_like(sums[0])])
    detector.train(was_training)
    if session.world_size > 1:
        dist.all_reduce(sums)
    return float(sums[0] / sums[1])


def keep_best(best: State | None, learner: Learner, epoch: int, loss: float) -> State | None:
    """The better one of the best epoch so far and this one; ties go to the earlier.

    Returns:
        ``epoch``, ``loss``, ``weights`` and ``centres``, on the CPU, the caller's own; None where no epoch has had a
        finite loss.
    """
    if not math.isfinite(loss) or (best is not None and best["loss"] <= loss):
        return best
    weights = {name: tensor.detach().cpu().clone() for name, tensor in learner.evaluated.state_dict().items()}
    centres = None if learner.centres is None else learner.centres.cpu().clone()
    return {"epoch": epoch, "loss": loss, "weights": weights, "centres": centres}
