"""The clustering term, and the centres that follow the latents during training.

Yang et al., "Towards K-means-friendly Spaces: Simultaneous Deep Learning and Clustering", ICML 2017.
"""

import torch
import torch.distributed as dist
from torch import Tensor


def assign(latents: Tensor, centres: Tensor) -> Tensor:
    """The nearest centre of each latent.

    Args:
        latents: (N, D).
        centres: (K, D).

    Returns:
        (N,), integer in [0, K); ties go to the lower id.
    """
    return torch.cdist(latents.float(), centres.float(), compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)


def clustering_loss(latents: Tensor, centres: Tensor) -> Tensor:
    """``½ ‖z − c_{s(z)}‖²``, averaged over the clips; β is the caller's. Centres take no gradient.

    Args:
        latents: (N, D), with gradient.
        centres: (K, D).
    """
    nearest = centres.detach()[assign(latents.detach(), centres)]
    return 0.5 * (latents.float() - nearest).square().sum(dim=1).mean()


def update_centres(centres: Tensor, counts: Tensor, latents: Tensor) -> tuple[Tensor, Tensor]:
    """Moves every centre towards the latents of a minibatch assigned to it, at the rate 1 / count.

    Taken one by one, ``c ← c + (z − c) / count`` with the count raised first is a running mean; the sums below give
    the same centres. Under DDP the sums are all-reduced, so that every worker holds what a single worker would.

    Args:
        centres: (K, D).
        counts: (K,), latents that each centre has seen so far, float.
        latents: (N, D), of this worker's share of the minibatch; those that are not finite do not count.

    Returns:
        The new centres and counts.
    """
    latents = latents.detach().float()
    finite = latents.isfinite().all(dim=1, keepdim=True)  # (N, 1)
    latents = torch.where(finite, latents, 0.0)
    one_hot = torch.nn.functional.one_hot(assign(latents, centres), len(centres)) * finite.to(latents.dtype)  # (N, K)
    statistics = torch.cat([one_hot.T @ latents, one_hot.sum(dim=0).unsqueeze(1)], dim=1)  # (K, D + 1)
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(statistics)
    sums, new = statistics[:, :-1], statistics[:, -1]
    counts = counts + new
    moved = centres + (sums - new.unsqueeze(1) * centres) / counts.clamp_min(1.0).unsqueeze(1)
    return moved, counts
