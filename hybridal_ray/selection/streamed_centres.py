"""Centres of a pool that need not fit in memory: k-means on a sample, then mini-batch k-means over all of it."""

from collections.abc import Iterator
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from hybridal_ray.selection.clustering import assign_to_centres, fit_centres

# Measured at the peak of `fit_centres`, for each number of a float32 latent: the sample itself, its ordered copy,
# and what looking for equal latents and k-means take in float64.
BYTES_PER_NUMBER = 40


class LatentBatches(Protocol):
    """Latents that can be gone through more than once, in the same order."""

    def __call__(self) -> Iterator[tuple[pa.ChunkedArray, npt.NDArray[np.float32]]]:
        """Yields the ids (V,) and the latents (V, D) of some videos at a time."""
        ...


def centres_of_stream(
    batches: LatentBatches, clusters: int, seed: int, restarts: int, memory_bytes: int
) -> npt.NDArray[np.float64] | None:
    """Centres by k-means where all latents fit in the memory, by mini-batch k-means where they do not.

    Mini-batch k-means (Sculley, WWW 2010) starts from the k-means of a uniform sample that fits, and goes once over
    the pool: each batch moves a centre towards its own members with the rate 1 / (members so far), as deep
    clustering does in training (method §4).

    Args:
        batches: The latents. Where they fit, their order is of no account, else the result depends on it.
        clusters: K, at least 1.
        seed: Of the sample and of k-means.
        restarts: Runs of k-means.
        memory_bytes: What the latents held at once may take, k-means' own copies included.

    Returns:
        (K, D) in lexicographic order, or fewer, see `fit_centres`; None where there are no latents.
    """
    sample, seen = sample_latents(batches, seed, memory_bytes)
    if sample is None:
        return None
    centres = fit_centres(sample, clusters, seed, restarts)
    if seen > len(sample):
        counts = np.bincount(assign_to_centres(sample, centres), minlength=len(centres))
        del sample
        for _, latents in batches():
            move_centres(centres, counts, latents)
        centres = centres[np.lexsort(centres.T[::-1])]
    return centres


def sample_latents(batches: LatentBatches, seed: int, memory_bytes: int) -> tuple[npt.NDArray[np.float32] | None, int]:
    """Draws as many latents as fit in the memory, each with the same chance (reservoir sampling, algorithm R).

    Returns:
        (S, D), ordered by video id, or None where there are no latents; and how many there are in all.
    """
    rng = np.random.default_rng(seed)
    reservoir: npt.NDArray[np.float32] | None = None
    ids = np.empty(0, dtype=object)
    seen = 0
    for video_ids, latents in batches():
        if reservoir is None:
            size = max(memory_bytes // (latents.shape[1] * BYTES_PER_NUMBER), 1)
            reservoir, ids = np.empty((size, latents.shape[1]), np.float32), np.empty(size, dtype=object)
        # The n-th latent of the stream takes a place among the first n, and is kept if that lies in the reservoir.
        number = np.arange(seen, seen + len(latents))
        place = np.where(number < len(reservoir), number, rng.integers(0, number + 1))
        kept = np.flatnonzero(place < len(reservoir))
        reservoir[place[kept]] = latents[kept]
        ids[place[kept]] = video_ids.take(kept).to_pylist()
        seen += len(latents)
    if reservoir is None:
        return None, 0
    filled = min(seen, len(reservoir))
    return reservoir[np.argsort(ids[:filled])], seen


def move_centres(
    centres: npt.NDArray[np.float64], counts: npt.NDArray[np.integer], latents: npt.NDArray[np.floating]
) -> None:
    """One step of mini-batch k-means, in place: every centre becomes the running mean of the members it ever had.

    Args:
        centres: (K, D).
        counts: (K,), members that each centre had so far.
        latents: (V, D), of the batch.
    """
    nearest = assign_to_centres(latents, centres)
    for cluster in np.unique(nearest):
        members = latents[nearest == cluster].astype(np.float64)
        counts[cluster] += len(members)
        centres[cluster] += (members - centres[cluster]).sum(axis=0) / counts[cluster]
