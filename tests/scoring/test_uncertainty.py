"""Oracles: loops over passes and pixels in plain Python, Jensen's inequality, cases worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from hybridal_ray.scoring.uncertainty import frame_uncertainty

SHAPES = hnp.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=4)
PASSES = hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 1, width=32))


def score(probabilities, reading="mean_of_log", reduction="mean", threshold=0.4, empty=-7.0):
    return frame_uncertainty(
        torch.as_tensor(probabilities),
        reading=reading,
        reduction=reduction,
        foreground_threshold=threshold,
        empty_frame_score=empty,
    )


def loop(probabilities: np.ndarray, frame: int, reading: str, reduction: str, threshold: float) -> float | None:
    """The score of one frame, pixel by pixel; None where it is empty."""
    passes, _, height, width = probabilities.shape
    pixels = []
    for y in range(height):
        for x in range(width):
            values = [min(max(float(probabilities[k, frame, y, x]), 1e-6), 1.0) for k in range(passes)]
            mean = sum(values) / passes
            if mean <= threshold:
                continue
            logs = [-math.log(value) for value in values]
            pixels.append(sum(logs) / passes if reading == "mean_of_log" else -math.log(mean))
    if not pixels:
        return None
    return sum(pixels) / len(pixels) if reduction == "mean" else sum(pixels)


@pytest.mark.parametrize("reading", ["mean_of_log", "log_of_mean"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_agrees_with_a_loop_over_pixels(reading: str, reduction: str) -> None:
    probabilities = np.random.default_rng(3).random((5, 6, 7, 4)).astype(np.float32) ** 0.7
    probabilities[:, 2] *= 0.3  # an empty frame
    probabilities[1, 4] = 0.0  # a pass that saw nothing
    found = score(probabilities, reading, reduction)
    expected = [loop(probabilities, frame, reading, reduction, 0.4) for frame in range(6)]
    assert expected[2] is None
    assert found.empty.tolist() == [value is None for value in expected]
    np.testing.assert_allclose(
        found.scores.numpy(), [-7.0 if value is None else value for value in expected], rtol=2e-6
    )


@given(PASSES)
@settings(max_examples=60, deadline=None)
def test_mean_of_log_is_never_below_log_of_mean(probabilities: np.ndarray) -> None:
    upper, lower = score(probabilities, "mean_of_log"), score(probabilities, "log_of_mean")
    assert (upper.empty == lower.empty).all()
    assert (upper.scores >= lower.scores - 1e-5).all()
    assert torch.isfinite(upper.scores).all()


@given(PASSES, st.randoms())
@settings(max_examples=30, deadline=None)
def test_order_of_the_passes_does_not_matter(probabilities: np.ndarray, random) -> None:
    order = list(range(len(probabilities)))
    random.shuffle(order)
    np.testing.assert_allclose(
        score(probabilities[order]).scores.numpy(), score(probabilities).scores.numpy(), rtol=1e-4, atol=1e-5
    )


def test_by_hand() -> None:
    # Two passes, one frame, three pixels: (1, 1/4), (1/2, 1/2), (0.1, 0.2); the last is background.
    probabilities = [[[[1.0, 0.5, 0.1]]], [[[0.25, 0.5, 0.2]]]]
    first, second = math.log(4) / 2, math.log(2)
    assert score(probabilities).scores.item() == pytest.approx((first + second) / 2)
    assert score(probabilities, reduction="sum").scores.item() == pytest.approx(first + second)
    assert score(probabilities, "log_of_mean").scores.item() == pytest.approx((-math.log(0.625) - math.log(0.5)) / 2)


def test_certain_foreground_scores_nothing_and_an_empty_frame_what_it_is_given() -> None:
    probabilities = torch.zeros(3, 2, 4, 4)
    probabilities[:, 0, :2] = 1.0
    found = score(probabilities, empty=2.5)
    assert found.scores.tolist() == [0.0, 2.5]
    assert found.empty.tolist() == [False, True]


def test_probability_on_the_threshold_is_background() -> None:
    assert score(torch.full((2, 1, 1, 1), 0.5), threshold=0.5).empty.item()


def test_pass_without_foreground_stays_finite() -> None:
    found = score([[[[0.0]]], [[[1.0]]]])
    assert found.scores.item() == pytest.approx(-math.log(1e-6) / 2, rel=1e-5)


def test_diverged_detector_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        score([[[[float("nan")]]]])


@pytest.mark.parametrize(("name", "value"), [("reading", "log"), ("reduction", "max")])
def test_unknown_option_is_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is '{value}'"):
        score(torch.ones(1, 1, 1, 1), **{name: value})
