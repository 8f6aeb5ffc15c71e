"""Oracles: k-means on all latents at once, a loop over single latents, and the chance of being drawn."""

import numpy as np
import pyarrow as pa
import pytest
from scipy.spatial.distance import cdist

from hybridal_ray.selection.clustering import fit_centres
from hybridal_ray.selection.streamed_centres import (
    BYTES_PER_NUMBER,
    centres_of_stream,
    move_centres,
    sample_latents,
)


def stream(latents, rows=64, ids=None):
    """Batches of latents; without ids they are numbered in order."""
    ids = [f"v{number:06d}" for number in range(len(latents))] if ids is None else ids

    def batches():
        for start in range(0, len(latents), rows):
            yield pa.chunked_array([ids[start : start + rows]]), latents[start : start + rows]

    return batches


def groups(count, seed=0):
    """Latents of 8 numbers around four points, the first point far more often than the last."""
    rng = np.random.default_rng(seed)
    points = rng.normal(scale=4.0, size=(4, 8))
    around = rng.choice(4, size=count, p=[0.6, 0.25, 0.1, 0.05])
    return (points[around] + rng.normal(size=(count, 8))).astype(np.float32)


def memory_for(latents: int, width: int) -> int:
    return latents * width * BYTES_PER_NUMBER


def test_what_fits_is_clustered_as_a_whole_whatever_the_order_it_came_in():
    latents = groups(500)
    shuffled = np.random.default_rng(1).permutation(500)
    ids = [f"v{number:06d}" for number in shuffled]
    found = centres_of_stream(stream(latents[shuffled], ids=ids), 4, 3, 2, memory_for(500, 8))
    assert np.array_equal(found, fit_centres(latents, 4, 3, 2))


def test_what_does_not_fit_is_clustered_almost_as_well():
    latents = groups(6000)
    found = centres_of_stream(stream(latents), 4, 0, 3, memory_for(400, 8))
    whole = fit_centres(latents, 4, 0, 3)
    inertia, best = ((cdist(latents, centres).min(axis=1) ** 2).sum() for centres in (found, whole))
    assert inertia <= best * 1.01
    # A sample of 400 alone misses by more: the pass over everything is what brings the centres home.
    sample, _ = sample_latents(stream(latents), 0, memory_for(400, 8))
    alone = fit_centres(sample, 4, 0, 3)
    assert np.abs(found - whole).max() < np.abs(alone - whole).max()


def test_equal_seeds_give_equal_centres():
    latents = groups(2000)
    first, again = (centres_of_stream(stream(latents), 4, 5, 2, memory_for(100, 8)) for _ in range(2))
    assert np.array_equal(first, again)


def test_the_ids_of_centres_follow_their_coordinates():
    found = centres_of_stream(stream(groups(2000)), 4, 5, 2, memory_for(100, 8))
    assert found.tolist() == sorted(found.tolist())


def test_of_nothing_there_are_no_centres():
    assert centres_of_stream(stream(np.zeros((0, 3), np.float32)), 4, 0, 1, 1000) is None


def test_every_latent_has_the_same_chance_of_being_drawn():
    latents = np.arange(60, dtype=np.float32)[:, None]
    drawn = np.zeros(60)
    for seed in range(3000):
        sample, seen = sample_latents(stream(latents, rows=7), seed, memory_for(12, 1))
        assert seen == 60
        assert len(np.unique(sample)) == 12
        drawn[sample[:, 0].astype(int)] += 1
    # 600 of 3000 expected of each, with a standard deviation of 22.
    assert np.abs(drawn - 600).max() < 5 * 22


def test_the_sample_is_in_the_order_of_the_ids():
    latents = np.arange(50, dtype=np.float32)[:, None]
    sample, _ = sample_latents(stream(latents, rows=9), 0, memory_for(20, 1))
    assert sample[:, 0].tolist() == sorted(sample[:, 0])


@pytest.mark.parametrize("rows", [1, 7, 40])
def test_a_centre_is_the_mean_of_all_that_were_nearest_to_it_when_they_came(rows):
    rng = np.random.default_rng(4)
    latents = rng.normal(size=(40, 3)).astype(np.float32)
    start = rng.normal(size=(4, 3))
    centres, counts = start.copy(), np.array([5, 1, 2, 3])
    sums, members = start * counts[:, None], counts.copy()
    for first in range(0, 40, rows):
        batch = latents[first : first + rows]
        nearest = cdist(batch, sums / members[:, None]).argmin(axis=1)
        for latent, cluster in zip(batch, nearest, strict=True):
            sums[cluster] += latent
            members[cluster] += 1
        move_centres(centres, counts, batch)
    np.testing.assert_allclose(centres, sums / members[:, None], rtol=1e-12)
    assert counts.tolist() == members.tolist()
