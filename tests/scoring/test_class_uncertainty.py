"""Oracles: scipy's entropy of a distribution, and its bounds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import entropy

from hybridal_ray.scoring.class_uncertainty import class_entropy


@given(st.lists(st.floats(0.001, 1.0), min_size=2, max_size=30))
def test_it_is_scipys_entropy_to_the_base_of_the_number_of_classes(scores: list[float]) -> None:
    found = class_entropy(np.array(scores))
    assert found == pytest.approx(entropy(scores, base=len(scores)), abs=1e-9)
    assert 0 <= found <= 1


def test_certain_and_undecided() -> None:
    assert class_entropy(np.array([0.0, 1.0, 0.0])) == 0
    assert class_entropy(np.full(7, 1 / 7)) == pytest.approx(1)
    assert class_entropy(np.array([1.0])) == 0
