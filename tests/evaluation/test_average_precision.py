"""Oracles: values worked out by hand, and the sums of the loops of `brute_force`."""

import brute_force
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hybridal_ray.evaluation.average_precision import envelope_area, steps_of, trapezoid_area


def area(measure, hits, num_truth):
    return float(measure(*steps_of(np.array(hits, dtype=bool)), num_truth))


@pytest.mark.parametrize(
    ("hits", "num_truth", "envelope", "trapezoid"),
    [
        ([], 3, 0.0, 0.0),
        ([False, False], 1, 0.0, 0.0),
        ([True], 1, 1.0, 1.0),
        ([True], 4, 0.25, 0.25),
        ([False, True], 1, 0.5, 0.25),  # the line from precision 0 to 1/2
        ([True, False, True], 2, (1 + 2 / 3) / 2, (1 + (1 / 2 + 2 / 3) / 2) / 2),
        ([False, True, True], 2, 2 / 3, ((0 + 1 / 2) / 2 + (1 / 2 + 2 / 3) / 2) / 2),
        ([True, False, False, True, True], 4, 11 / 20, (1 + (1 / 3 + 1 / 2) / 2 + (1 / 2 + 3 / 5) / 2) / 4),
    ],
)  # fmt: skip
def test_hand_computed(hits, num_truth, envelope, trapezoid):
    assert area(envelope_area, hits, num_truth) == pytest.approx(envelope)
    assert area(trapezoid_area, hits, num_truth) == pytest.approx(trapezoid)


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_equals_the_sums_in_loops(hits, missed):
    num_truth = sum(hits) + missed
    assume(num_truth > 0)
    assert area(envelope_area, hits, num_truth) == pytest.approx(brute_force.area_under_envelope(hits, num_truth))
    assert area(trapezoid_area, hits, num_truth) == pytest.approx(brute_force.area_of_trapezoids(hits, num_truth))


def test_without_ground_truth_it_is_undefined():
    assert np.isnan(area(envelope_area, [True], 0))
    assert np.isnan(area(trapezoid_area, [True], 0))


def test_rankings_side_by_side_are_measured_each_for_itself():
    found, false = np.array([[1.0, 1.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(envelope_area(found, false, [2, 4]), [(1 + 2 / 3) / 2, 2 / 4 * 2 / 3])
