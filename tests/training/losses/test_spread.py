"""Oracles: equation 3 as a Python loop in double precision, finite differences, and the ends of the schedule."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.training.losses.spread import margin, spread_loss


@pytest.mark.parametrize("m", [0.2, 0.55, 0.9])
def test_each_wrong_class_costs_the_square_of_what_the_margin_lacks(m: float) -> None:
    activations = torch.rand(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 3, 1, 2, 2])
    for row, target, found in zip(
        activations.tolist(), targets.tolist(), spread_loss(activations, targets, m), strict=True
    ):
        expected = sum(max(0.0, m - (row[target] - a)) ** 2 for i, a in enumerate(row) if i != target)
        assert found.item() == pytest.approx(expected, abs=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    activations = torch.rand(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: spread_loss(a, torch.tensor([0, 1, 2, 0]), 0.55), activations)


def test_a_class_that_leads_by_the_margin_costs_nothing() -> None:
    activations = torch.tensor([[0.95, 0.05, 0.04]])
    assert spread_loss(activations, torch.tensor([0]), 0.9).tolist() == [0.0]
    assert spread_loss(activations, torch.tensor([1]), 0.9).item() > 3


@given(st.floats(-1, 2, allow_nan=False), st.floats(-1, 2, allow_nan=False))
def test_the_margin_rises_evenly_from_a_fifth_to_nine_tenths(one: float, other: float) -> None:
    assert (margin(0.0), margin(0.5), margin(1.0)) == pytest.approx((0.2, 0.55, 0.9))
    assert 0.2 <= margin(one) <= 0.9 + 1e-12
    if one <= other:
        assert margin(one) <= margin(other)
