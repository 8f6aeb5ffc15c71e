"""Oracles: loops over passes and pixels in plain Python, Jensen's inequality, cases worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import entropy

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


MEASURES = ("entropy", "bald", "neighbour_disagreement")


def measured(probabilities, measure: str, reduction: str = "mean", threshold: float = 0.4):
    return frame_uncertainty(
        torch.as_tensor(probabilities),
        measure=measure,
        reading="mean_of_log",
        reduction=reduction,
        foreground_threshold=threshold,
        empty_frame_score=-7.0,
    )


def pixel_measure(values: list[float], measure: str) -> float:
    """Of one pixel's probabilities in R passes; the entropies by scipy."""
    of_mean = entropy([sum(values) / len(values), 1 - sum(values) / len(values)])
    if measure == "entropy":
        return float(of_mean)
    if measure == "bald":
        return float(of_mean - sum(entropy([value, 1 - value]) for value in values) / len(values))
    return sum(abs(b - a) for a, b in itertools.pairwise(values)) / (len(values) - 1)


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_other_measures_agree_with_scipy_over_a_loop_of_pixels(measure: str, reduction: str) -> None:
    probabilities = np.random.default_rng(5).random((4, 3, 6, 5)) ** 0.7
    probabilities[:, 1] *= 0.3  # an empty frame
    probabilities[0, 0, 0], probabilities[1, 2, 0] = 0.0, 1.0  # certain passes
    found = measured(probabilities, measure, reduction).scores.tolist()
    for frame, score_found in enumerate(found):
        pixels = probabilities[:, frame].reshape(4, -1).T
        counted = [pixel_measure(values.tolist(), measure) for values in pixels if values.mean() > 0.4]
        expected = (sum(counted) / len(counted) if reduction == "mean" else sum(counted)) if counted else -7.0
        assert score_found == pytest.approx(expected, rel=1e-9)
    assert found[1] == -7.0


@given(PASSES)
@settings(max_examples=60, deadline=None)
def test_bald_lies_between_nothing_and_the_entropy(probabilities: np.ndarray) -> None:
    bald, whole = measured(probabilities, "bald"), measured(probabilities, "entropy")
    assert torch.equal(bald.empty, whole.empty)
    filled = ~bald.empty
    assert (bald.scores[filled] >= 0).all()
    assert (whole.scores[filled] >= bald.scores[filled] - 1e-12).all()
    assert (whole.scores[filled] <= math.log(2) + 1e-12).all()


@pytest.mark.parametrize("measure", ["bald", "neighbour_disagreement"])
def test_passes_that_agree_hold_nothing_against_each_other(measure: str) -> None:
    same = np.random.default_rng(6).random((1, 3, 4, 4)).repeat(5, axis=0)
    np.testing.assert_allclose(measured(same, measure, threshold=0.0).scores.numpy(), 0.0, atol=1e-12)


def test_other_measures_are_in_float64_and_have_a_name() -> None:
    # In float32 the difference of two entropies near log 2 would be lost.
    values = np.array([0.5, 0.5 + 1e-5], dtype=np.float32)
    found = measured(values.reshape(2, 1, 1, 1), "bald", threshold=0.0).scores.item()
    assert found == pytest.approx((float(values[1]) - 0.5) ** 2 / 2, rel=1e-3)  # second order of H about 1/2
    with pytest.raises(ValueError, match="measure is 'variance'"):
        measured(np.full((2, 1, 1, 1), 0.5), "variance")


@pytest.mark.parametrize("measure", MEASURES)
def test_diverged_detector_is_refused_by_every_measure(measure: str) -> None:
    with pytest.raises(ValueError, match="NaN"):
        measured([[[[float("nan")]]]], measure)
