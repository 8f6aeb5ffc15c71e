"""Oracles: equation φ as nested loops over frames and pixels, and weights worked out by hand."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.training.stew import clip_weights, spatial_weights, temporal_weights, window_means


def phi(frame: int, labelled: list[int], foreground: dict[int, np.ndarray], *, window, sigma, stride, rule) -> list:
    """Equation φ on one frame, pixel by pixel, `foreground` holding the pseudo-labels of all frames of the video."""
    temporal = 0.0
    for label in labelled:
        temporal = max(temporal, math.exp(-(((frame - label) / stride) ** 2) / (2 * sigma**2)))
    height, width = foreground[frame].shape
    weights = [[0.0] * width for _ in range(height)]
    for y in range(height):
        for x in range(width):
            seen = [
                float(foreground[frame + step * stride][y, x])
                for step in range(-window, window + 1)
                if frame + step * stride in foreground
            ]
            mean = sum(seen) / len(seen)
            spatial = mean if rule == "mean" else max(mean, 1 - mean)
            if mean in (0.0, 1.0) or frame in labelled:
                spatial = 1.0
            weights[y][x] = temporal * spatial
    return weights


@given(
    seed=st.integers(0, 1000),
    start=st.integers(0, 10),
    window=st.integers(0, 3),
    stride=st.integers(1, 3),
    sigma=st.sampled_from([0.5, 4 / 3, 3.0]),
    rule=st.sampled_from(["mean", "symmetric"]),
    labelled=st.lists(st.integers(0, 19), max_size=4, unique=True),
)
def test_stew_is_equation_phi(seed, start, window, stride, sigma, rule, labelled) -> None:
    num_frames, clip_frames = 20, 3
    video = np.random.default_rng(seed).random((num_frames, 2, 3)) < 0.6
    frames = start + stride * np.arange(clip_frames)
    around = start + stride * np.arange(-window, clip_frames + window)
    exists = (around >= 0) & (around < num_frames)
    means = window_means(video[around.clip(0, num_frames - 1)], exists, window)
    weights = clip_weights("stew", frames, labelled, means, sigma=sigma, stride=stride, rule=rule)
    pseudo_labels = dict(enumerate(video))
    expected = [
        phi(int(frame), labelled, pseudo_labels, window=window, sigma=sigma, stride=stride, rule=rule)
        for frame in frames
    ]
    np.testing.assert_allclose(weights, expected, atol=1e-6)
    assert weights.dtype == np.float32


def test_weights_worked_out_by_hand() -> None:
    frames = np.array([4, 6, 8])
    mean = np.array([[[0.0, 0.2, 1.0]]] * 3, dtype=np.float32)
    one, two = math.exp(-1 / (2 * (4 / 3) ** 2)), math.exp(-4 / (2 * (4 / 3) ** 2))
    arguments = {"sigma": 4 / 3, "stride": 2}

    def weights(name, **options) -> list:
        return clip_weights(name, frames, [4, 30], mean, **arguments, **options)[:, 0].tolist()

    assert weights("none") == [[1, 1, 1]] * 3
    assert weights("labelled") == [[1, 1, 1], [0, 0, 0], [0, 0, 0]]
    assert weights("gaussian") == [[1, 1, 1], pytest.approx([one] * 3), pytest.approx([two] * 3)]
    assert weights("stew") == [
        [1, 1, 1],
        pytest.approx([one, 0.2 * one, one]),
        pytest.approx([two, 0.2 * two, two]),
    ]
    assert weights("stew", rule="symmetric")[1] == pytest.approx([one, 0.8 * one, one])
    assert weights("stew", low=0.2)[1] == pytest.approx([one, one, one])
    assert weights("stew", high=0.2)[1] == pytest.approx([one, one, one])
    assert weights("stew", high=0.21)[1] == pytest.approx([one, 0.2 * one, one])


def test_the_nearest_labelled_frame_counts_on_either_side() -> None:
    weights = temporal_weights(np.arange(0, 20), [5, 9], sigma=2.0, stride=1)
    expected = [max(math.exp(-((f - 5) ** 2) / 8), math.exp(-((f - 9) ** 2) / 8)) for f in range(20)]
    np.testing.assert_allclose(weights, expected, rtol=1e-6)


@pytest.mark.parametrize("weighting", ["labelled", "gaussian", "stew"])
def test_without_a_labelled_frame_nothing_counts(weighting) -> None:
    mean = np.full((3, 2, 2), 0.5, dtype=np.float32)
    weights = clip_weights(weighting, np.array([0, 2, 4]), [], mean, sigma=1.0, stride=2)
    np.testing.assert_array_equal(weights, np.zeros((3, 2, 2)))


def test_the_window_is_cut_at_the_edges_of_the_video() -> None:
    foreground = np.array([0, 0, 1, 1, 0], dtype=bool)[:, None, None]  # two frames before the video, three inside
    exists = np.array([False, False, True, True, True])
    np.testing.assert_allclose(window_means(foreground, exists, window=2)[:, 0, 0], [2 / 3])
    foreground[:2] = True  # whatever is drawn outside the video does not count
    np.testing.assert_allclose(window_means(foreground, exists, window=2)[:, 0, 0], [2 / 3])


def test_a_window_wholly_beyond_a_short_video_is_that_of_the_repeated_frame() -> None:
    foreground = np.array([1, 1, 1, 1, 1, 1], dtype=bool)[:, None, None]
    exists = np.array([True, False, False, False, False, False])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        means = window_means(foreground, exists, window=1)
    np.testing.assert_array_equal(means[:, 0, 0], [1, 1, 1, 1])


@given(st.floats(0, 1, width=32))
def test_symmetric_treats_actor_and_background_alike_and_mean_does_not(mean: float) -> None:
    both = np.array([mean, 1 - mean], dtype=np.float32)
    one, other = spatial_weights(both, rule="symmetric", low=0.0, high=1.0)
    assert one == pytest.approx(other, abs=1e-6)
    assert one >= 0.5
    one, other = spatial_weights(both, rule="mean", low=0.0, high=1.0)
    assert one == (1.0 if mean in (0.0, 1.0) else np.float32(mean))
