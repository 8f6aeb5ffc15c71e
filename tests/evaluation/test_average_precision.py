"""Oracles: values worked out by hand, and the sum of best precisions in loops."""

import numpy as np
import pytest
from brute_force import area_under_envelope
from hypothesis import assume, given
from hypothesis import strategies as st

from hybridal_ray.evaluation.average_precision import average_precision


@pytest.mark.parametrize(
    ("hits", "num_truth", "expected"),
    [
        ([], 3, 0.0),
        ([False, False], 1, 0.0),
        ([True], 1, 1.0),
        ([True], 4, 0.25),
        ([False, True], 1, 0.5),
        ([True, False, True], 2, (1 + 2 / 3) / 2),
        ([False, True, True], 2, 2 / 3),  # the precision 1/2 at the first hit is lifted to 2/3 by the envelope
        ([True, False, False, True, True], 4, (1 + 3 / 5 + 3 / 5) / 4),
    ],
)
def test_hand_computed(hits, num_truth, expected):
    assert average_precision(np.array(hits, dtype=bool), num_truth) == pytest.approx(expected)


@given(st.lists(st.booleans(), max_size=30), st.integers(0, 5))
def test_equals_the_sum_of_best_precisions_at_or_beyond_each_hit(hits, missed):
    num_truth = sum(hits) + missed
    assume(num_truth > 0)
    expected = area_under_envelope(hits, num_truth)
    assert average_precision(np.array(hits, dtype=bool), num_truth) == pytest.approx(expected)


def test_without_ground_truth_it_is_undefined():
    with pytest.raises(ValueError, match="undefined"):
        average_precision(np.array([True]), 0)
