"""The first centres of deep clustering: k-means on the latents of the labelled videos."""

import numpy as np
import torch
import torch.distributed as dist
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from hybridal_ray.detectors.clips import clip_span
from hybridal_ray.detectors.interface import normalise
from hybridal_ray.training.batches import ClipSource
from hybridal_ray.training.sampling import ClipDraw

RESTARTS = 10
SEEDS = 2**32  # that k-means takes


def start_centres(
    detector: nn.Module, source: ClipSource, clusters: int, *, videos: int, seed: int, rank: int, world_size: int
) -> tuple[Tensor, Tensor]:
    """k-means++ with several restarts on one latent a labelled video, that of the clip in its middle.

    Every worker computes the latents of its share of the videos; all of them run the same k-means on all latents
    and take rank 0's result.

    Args:
        detector: The module itself, not wrapped.
        source: The labelled videos come first in it.
        clusters: K; fewer centres come back when fewer videos are labelled.
        videos: How many of them are labelled.
        seed: Of the run.
        rank: Which worker.
        world_size: Number of workers.

    Returns:
        Centres (K, D), float32, and how many latents each stands for (K,), float32, both on the detector's device.
    """
    mine = _latents(detector, source, list(range(rank, videos, world_size)))
    latents = mine
    if world_size > 1:
        gathered: list[Tensor | None] = [None] * world_size
        dist.all_gather_object(gathered, mine)
        latents = torch.empty(videos, mine.shape[1])
        for other, share in enumerate(gathered):
            assert share is not None
            latents[other::world_size] = share
    with threadpool_limits(limits=1):  # sums of several threads differ in their last bits from run to run
        fitted = KMeans(min(clusters, len(latents)), n_init=RESTARTS, random_state=seed % SEEDS)
        fitted.fit(latents.double().numpy())
    order = np.lexsort(fitted.cluster_centers_.T[::-1])  # ids that do not hang on the order k-means found them in
    counts = np.bincount(fitted.labels_, minlength=len(order))[order]
    device = next(detector.parameters()).device
    centres = torch.tensor(fitted.cluster_centers_[order], dtype=torch.float32, device=device)
    seen = torch.tensor(counts, dtype=torch.float32, device=device)
    if world_size > 1:
        dist.broadcast(centres, src=0)
        dist.broadcast(seen, src=0)
    return centres, seen


@torch.no_grad()
def _latents(detector: nn.Module, source: ClipSource, videos: list[int]) -> Tensor:
    """(len(videos), D), on the CPU, without dropout."""
    device = next(detector.parameters()).device
    span = clip_span(source.spec.clip_frames, source.spec.clip_stride)
    was_training = detector.training
    detector.eval()
    latents = []
    for video in videos:
        start = max((source.videos[video].num_frames - span) // 2, 0)
        frames = source.batch([ClipDraw(video, start, flipped=False)]).frames.to(device)
        latents.append(detector(normalise(frames)).latent.float().cpu())
    detector.train(was_training)
    return torch.cat(latents)
