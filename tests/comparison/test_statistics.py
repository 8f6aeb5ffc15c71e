"""Oracles: cases worked out by hand, printed tables of Student's t, scipy's tests, and properties."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from hybridal_ray.comparison.statistics import area, budget_for, common_range, estimate, value_at

values = st.lists(st.floats(0, 1), min_size=2, max_size=8)


@st.composite
def curves(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    budgets = sorted(draw(st.sets(st.integers(0, 1000), min_size=2, max_size=8)))
    return [float(at) for at in budgets], draw(st.lists(st.floats(0, 1), min_size=len(budgets), max_size=len(budgets)))


def test_interval_by_hand() -> None:
    """1, 2, 3, 4, 5: deviation √2.5, t(4) = 2.776 in every printed table, so 3 ± 2.776 · √2.5 / √5 = 3 ± 1.963."""
    found = estimate([1, 2, 3, 4, 5])

    assert (found.mean, found.n) == (3.0, 5)
    assert found.deviation == pytest.approx(2.5**0.5)
    assert found.low == pytest.approx(3 - 1.963, abs=1e-3)
    assert found.high == pytest.approx(3 + 1.963, abs=1e-3)
    assert found.excludes_zero


@given(values)
def test_interval_of_paired_differences_is_that_of_the_paired_t_test(some: list[float]) -> None:
    other = np.linspace(0, 1, len(some)) ** 2
    gains = np.array(some) - other
    interval = stats.ttest_rel(some, other).confidence_interval(0.95)

    found = estimate(gains)

    assert found.low == pytest.approx(interval.low, abs=1e-9, nan_ok=True)
    assert found.high == pytest.approx(interval.high, abs=1e-9, nan_ok=True)


def test_a_single_seed_has_no_interval() -> None:
    found = estimate([0.4])

    assert (found.mean, found.deviation, found.low, found.high, found.n) == (0.4, None, None, None, 1)
    assert not found.excludes_zero


@given(values)
def test_estimate_is_antisymmetric(some: list[float]) -> None:
    there, back = estimate(some), estimate([-value for value in some])

    assert there.mean == pytest.approx(-back.mean)
    assert there.low == pytest.approx(-(back.high or 0.0))
    assert there.excludes_zero == back.excludes_zero


def test_area_by_hand() -> None:
    """From 10 to 20 the mean is 0.3, from 20 to 40 it is 0.5: (10 · 0.3 + 20 · 0.5) / 30."""
    assert area([10, 20, 40], [0.2, 0.4, 0.6], 10, 40) == pytest.approx(13 / 30)


def test_area_between_the_rounds() -> None:
    """At 15 the curve is at 0.3, at 30 at 0.5: (5 · 0.35 + 10 · 0.45) / 15."""
    assert area([10, 20, 40], [0.2, 0.4, 0.6], 15, 30) == pytest.approx(6.25 / 15)


@given(curves(), st.floats(0, 1))
def test_area_of_a_constant_is_the_constant(curve: tuple[list[float], list[float]], constant: float) -> None:
    budgets, _ = curve

    assert area(budgets, [constant] * len(budgets), budgets[0], budgets[-1]) == pytest.approx(constant)


@given(curves())
def test_area_is_the_integral(curve: tuple[list[float], list[float]]) -> None:
    budgets, heights = curve
    low, high = budgets[0] + 0.25, budgets[-1] - 0.25
    expected, _ = integrate.quad(lambda at: np.interp(at, budgets, heights), low, high, points=budgets[1:-1], limit=200)

    assert area(budgets, heights, low, high) == pytest.approx(expected / (high - low), abs=1e-6)


@given(curves(), st.integers(0, 7))
def test_area_does_not_see_a_round_in_between(curve: tuple[list[float], list[float]], index: int) -> None:
    """A point that lies on the curve changes nothing: arms with other rounds are compared fairly."""
    budgets, heights = curve
    left = index % (len(budgets) - 1)
    between = (budgets[left] + budgets[left + 1]) / 2
    more = [*budgets[: left + 1], between, *budgets[left + 1 :]]
    higher = [*heights[: left + 1], (heights[left] + heights[left + 1]) / 2, *heights[left + 1 :]]

    assert area(more, higher, budgets[0], budgets[-1]) == pytest.approx(area(budgets, heights, budgets[0], budgets[-1]))


def test_common_range() -> None:
    assert common_range([[10, 20, 40], [12, 30], [5, 50]]) == (12, 30)
    assert common_range([[10, 20], [20, 30]]) is None
    assert common_range([[10, 20], []]) is None
    assert common_range([]) is None


def test_value_at_a_budget() -> None:
    assert value_at([10, 20], [0.2, 0.4], 15) == pytest.approx(0.3)
    assert value_at([10, 20], [0.2, 0.4], 20) == 0.4
    assert value_at([10, 20], [0.2, 0.4], 9) is None
    assert value_at([10, 20], [0.2, 0.4], 21) is None


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (0.5, 30.0),  # half way from 0.4 to 0.6, so half way from 20 to 40
        (0.4, 20.0),  # at a round
        (0.2, 10.0),  # from the start
        (0.1, 10.0),
        (0.61, None),  # never
    ],
)
def test_budget_for_a_target_by_hand(target: float, expected: float | None) -> None:
    assert budget_for([10, 20, 40], [0.2, 0.4, 0.6], target) == (None if expected is None else pytest.approx(expected))


def test_budget_for_a_target_that_is_lost_again() -> None:
    assert budget_for([10, 20, 30, 40], [0.2, 0.6, 0.3, 0.7], 0.5) == pytest.approx(17.5)


@given(curves(), st.floats(0, 1))
def test_budget_for_a_target_is_the_first(curve: tuple[list[float], list[float]], target: float) -> None:
    """Brute force: no budget on a fine grid before it reaches the target, and it does reach it."""
    budgets, heights = curve
    found = budget_for(budgets, heights, target)
    grid = np.linspace(budgets[0], budgets[-1], 501)
    on_curve = np.interp(grid, budgets, heights)

    if found is None:
        assert (on_curve < target).all()
    else:
        assert np.interp(found, budgets, heights) == pytest.approx(target, abs=1e-9) or found == budgets[0]
        assert (on_curve[grid < found - 1e-6] < target).all()
