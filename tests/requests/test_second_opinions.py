"""Oracles: places worked out by hand; the share, and that a batch begins as a shorter one, as properties."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.requests.second_opinions import asked_twice


@pytest.mark.parametrize(("overlap", "places"), [(0.0, []), (0.1, [4]), (0.3, [1, 4, 8]), (1.0, list(range(10)))])
def test_the_overlap_is_spread_evenly(overlap: float, places: list[int]) -> None:
    assert np.flatnonzero(asked_twice(10, overlap)).tolist() == places


@given(st.integers(0, 200), st.integers(0, 64))
def test_a_cut_batch_keeps_its_share(num_frames: int, parts: int) -> None:
    overlap = parts / 64  # exact, so that halves are
    twice = asked_twice(num_frames, overlap)
    assert twice.sum() == math.floor(num_frames * overlap + 0.5)
    assert (asked_twice(num_frames + 7, overlap)[:num_frames] == twice).all()
