"""Oracle: the eigenvectors of the covariance matrix; the artists on the axes, counted."""

from pathlib import Path

import numpy as np
import pytest

from hybridal_ray.tracking.latent_map import latent_map, project
from hybridal_ray.tracking.run_reader import Latents, read_clusters, read_latents


def test_the_plane_is_that_of_the_largest_eigenvalues() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=(40, 5)) * np.array([5.0, 3.0, 1.0, 0.5, 0.1])
    others = generator.normal(size=(3, 5))
    plane, other_plane, shares = project(values, others)
    eigenvalues, vectors = np.linalg.eigh(np.cov(values.T))
    axes = vectors[:, [-1, -2]]
    np.testing.assert_allclose(np.abs(plane), np.abs((values - values.mean(0)) @ axes), atol=1e-9)
    np.testing.assert_allclose(np.abs(other_plane), np.abs((others - values.mean(0)) @ axes), atol=1e-9)
    assert shares == pytest.approx(tuple(eigenvalues[[-1, -2]] / eigenvalues.sum()))
    again, _, _ = project(values, others)
    np.testing.assert_array_equal(plane, again)


@pytest.mark.parametrize("shape", [(1, 4), (3, 1), (5, 3)])
def test_too_little_to_project_gives_zeros_not_errors(shape: tuple[int, int]) -> None:
    plane, others, shares = project(np.ones(shape), np.zeros((0, shape[1])))
    assert plane.shape == (shape[0], 2)
    assert others.shape == (0, 2)
    assert np.isfinite(plane).all()
    assert shares == (0.0, 0.0)


def test_every_video_is_drawn_once_and_every_pick_ringed(finished_run: Path) -> None:
    latents = read_latents(str(finished_run), 0)
    clusters = read_clusters(str(finished_run), 0)
    assert latents is not None
    figure = latent_map(
        latents, clusters, labelled={"video-00", "video-01"}, picked={"video-02"}, centres=np.zeros((2, 6))
    )
    filled, hollow, ringed = (
        sum(len(artist.get_offsets()) for artist in figure.axes[0].collections[kind:-2:3]) for kind in range(3)
    )
    # 7 of the 8 training videos have a latent; two clusters draw three groups each, then come two centres.
    assert (filled, hollow, ringed) == (5, 2, 1)
    assert len(figure.axes[0].collections) == 2 * 3 + 2


def test_without_clusters_or_centres() -> None:
    latents = Latents(("a", "b", "c"), np.eye(3, dtype=np.float32), videos=3)
    figure = latent_map(latents, None, labelled=(), picked={"a"})
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["unlabelled", "labelled already", "picked in this round"]


def test_a_sample_is_called_one_and_clusters_keep_their_sizes() -> None:
    latents = Latents(("a", "c"), np.eye(2, dtype=np.float32), videos=1200)
    figure = latent_map(latents, {"a": 0, "b": 0, "c": 1}, labelled=(), picked=(), round_index=4)
    assert figure.axes[0].get_title() == "Latents of the training videos (2 of 1,200; round 4)"
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[:2] == ["cluster 0  (2)", "cluster 1  (1)"]
