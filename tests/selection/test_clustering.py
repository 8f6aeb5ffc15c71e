"""Oracles: scipy's distances, a brute-force search for the best partition, and cases done by hand."""

import itertools
import warnings

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from threadpoolctl import threadpool_limits

from hybridal_ray.selection.clustering import assign_to_centres, fit_centres


def best_partition_inertia(points: np.ndarray, clusters: int) -> float:
    """The least sum of squared distances to cluster means, over every way of dividing the points."""
    inertias = []
    for ids in itertools.product(range(clusters), repeat=len(points)):
        members = [points[np.array(ids) == cluster] for cluster in set(ids)]
        inertias.append(sum(((group - group.mean(axis=0)) ** 2).sum() for group in members))
    return min(inertias)


def test_every_latent_goes_to_its_nearest_centre():
    rng = np.random.default_rng(0)
    latents, centres = rng.normal(size=(200, 7)).astype(np.float32), rng.normal(size=(9, 7))
    assert np.array_equal(assign_to_centres(latents, centres), cdist(latents, centres).argmin(axis=1))


def test_a_tie_goes_to_the_lower_cluster():
    centres = np.array([[4.0, 0.0], [0.0, 2.0], [0.0, -2.0]])
    assert assign_to_centres(np.array([[0.0, 0.0], [3.0, 3.0]], np.float32), centres).tolist() == [1, 0]


def test_latents_of_another_width_than_the_centres_are_refused():
    with pytest.raises(ValueError, match="cannot be assigned"):
        assign_to_centres(np.zeros((3, 4)), np.zeros((2, 5)))


@pytest.mark.parametrize("seed", [2**32 - 1, 2**32, 20_261_126_000])
def test_any_seed_will_do(seed):
    points = np.random.default_rng(3).normal(size=(9, 2))
    assert fit_centres(points, clusters=3, seed=seed).shape == (3, 2)


def test_centres_are_the_best_there_are():
    points = np.random.default_rng(3).normal(size=(9, 2))
    centres = fit_centres(points, clusters=3, seed=0)
    inertia = (cdist(points, centres).min(axis=1) ** 2).sum()
    assert inertia == pytest.approx(best_partition_inertia(points, 3))


def test_ids_follow_the_coordinates_of_the_centres_whatever_the_seed():
    rng = np.random.default_rng(1)
    groups = np.array([[0.0, 50.0], [0.0, -50.0], [-30.0, 0.0], [30.0, 0.0]])
    points = np.repeat(groups, 20, axis=0) + rng.normal(scale=0.1, size=(80, 2)) * [0, 1]
    expected = [[-30.0, 0.0], [0.0, -50.0], [0.0, 50.0], [30.0, 0.0]]
    for seed in range(5):
        np.testing.assert_allclose(fit_centres(points, clusters=4, seed=seed), expected, atol=0.2)


@pytest.mark.parametrize("threads", [1, 4])
def test_equal_seeds_give_equal_centres_to_the_last_bit_however_many_threads(threads):
    points = np.random.default_rng(2).normal(size=(3000, 16)).astype(np.float32)
    first = fit_centres(points, clusters=5, seed=7, restarts=2)
    with threadpool_limits(limits=threads):
        assert np.array_equal(fit_centres(points, clusters=5, seed=7, restarts=2), first)


def test_fewer_distinct_latents_than_clusters_give_as_many_centres():
    points = np.array([[1.0, 1.0], [0.0, 0.0], [1.0, 1.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_centres(points, clusters=5, seed=0).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_no_latents_cannot_be_clustered():
    with pytest.raises(ValueError, match="no latents"):
        fit_centres(np.zeros((0, 4)), clusters=2, seed=0)
