"""Each criterion against cases worked out by hand, and what raising a threshold must not do, by hypothesis."""

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.stopping.criterion import Criterion, End, Measured, RoundFacts, first_to_hold
from hybridal_ray.stopping.flat_uncertainty import FlatUncertainty
from hybridal_ray.stopping.gain_too_small import GainTooSmall, gain_per_hour
from hybridal_ray.stopping.nothing_to_buy import BudgetSpent, PoolUsedUp
from hybridal_ray.stopping.rounds_done import RoundsDone
from hybridal_ray.stopping.target_reached import TargetReached

METRIC = "frame_map@0.5"
NAN = float("nan")


def rounds_of(
    *values: float, hours: float = 1.0, half_width: float = 0.0, uncertainties: tuple[float | None, ...] = ()
) -> list[RoundFacts]:
    """Rounds with these figures on validation, so many hours of labour apart."""
    return [
        RoundFacts(
            round=index,
            labour_seconds=3600 * hours * (index + 1),
            validation={METRIC: Measured(value, (value - half_width, value + half_width))},
            uncertainty=uncertainties[index] if uncertainties else None,
        )
        for index, value in enumerate(values)
    ]


def uncertain(*values: float | None) -> list[RoundFacts]:
    return rounds_of(*([0.5] * len(values)), uncertainties=values)


@pytest.mark.parametrize(
    ("criterion", "rounds", "expected"),
    [
        (TargetReached(METRIC, 0.6), rounds_of(0.7, 0.59), False),  # the last round counts
        (TargetReached(METRIC, 0.6), rounds_of(0.2, 0.6), True),
        (TargetReached(METRIC, 0.6, surely=True), rounds_of(0.64, half_width=0.05), False),
        (TargetReached(METRIC, 0.6, surely=True), rounds_of(0.66, half_width=0.05), True),
        (TargetReached("video_map@0.5", 0.1), rounds_of(0.9), False),  # not measured
        (TargetReached(METRIC, 0.1), rounds_of(NAN), False),
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5), False),  # a gain needs two rounds
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.54), True),
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.56), False),
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.53, hours=0.5), False),  # 0.06 an hour
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.51, half_width=0.03), False),  # up to 0.0524
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.507, half_width=0.03), True),  # up to 0.0494
        (GainTooSmall(METRIC, 0.05), rounds_of(0.0, 0.0), False),  # a detector that finds nothing yet
        (GainTooSmall(METRIC, 0.05), rounds_of(0.5, 0.3), True),
        (GainTooSmall(METRIC, 0.05, rounds=2), rounds_of(0.5, 0.7), False),
        (GainTooSmall(METRIC, 0.05, rounds=2), rounds_of(0.5, 0.7, 0.58), True),  # 0.04 an hour over two
        (FlatUncertainty(0.1, rounds=2), uncertain(1.0, 1.0), False),
        (FlatUncertainty(0.1, rounds=2), uncertain(9.0, 1.0, 1.05, 0.96), True),  # 0.09 of 1.0033
        (FlatUncertainty(0.1, rounds=3), uncertain(9.0, 1.0, 1.05, 0.96), False),
        (FlatUncertainty(0.1, rounds=1), uncertain(-1.0, -1.05), True),
        (FlatUncertainty(0.1, rounds=1), uncertain(1.0, None), False),
        (FlatUncertainty(0.1, rounds=1), uncertain(0.0, 0.0), False),  # a detector that sees nobody anywhere
        (RoundsDone(2), rounds_of(0.5), False),
        (RoundsDone(2), rounds_of(0.5, 0.5), True),
    ],
)
def test_by_hand(criterion: Criterion, rounds: list[RoundFacts], expected: bool) -> None:
    assert (criterion.holds(rounds) is not None) == expected


@pytest.mark.parametrize(
    ("picked", "bounded_by", "name"),
    [(3, None, None), (3, "frames", None), (0, "frames", "frames"), (0, "seconds", "seconds"), (0, None, "pool")],
)
def test_nothing_to_buy_is_put_down_to_what_left_nothing(picked: int, bounded_by: str, name: str | None) -> None:
    criteria = [BudgetSpent("frames", 10), BudgetSpent("videos", 5), BudgetSpent("seconds", 90.0), PoolUsedUp()]
    end = first_to_hold(criteria, [replace(rounds_of(0.5)[0], picked=picked, bounded_by=bounded_by)])
    assert (None if end is None else end.criterion) == name


def test_the_first_of_several_that_hold_is_told() -> None:
    criteria = [TargetReached(METRIC, 0.9), RoundsDone(2), TargetReached(METRIC, 0.5)]
    assert first_to_hold(criteria, rounds_of(0.6)) == End(
        "target", 0, "frame_map@0.5 is 0.6000 on validation, the target 0.5"
    )
    assert first_to_hold(criteria, rounds_of(0.6, 0.7)) == End("rounds", 1, "all rounds asked for, 2, are done")
    assert first_to_hold(criteria, rounds_of(0.4)) is None


def test_gain_has_the_interval_of_a_difference_of_normal_variables() -> None:
    """Symmetric intervals of ±1.96 s give the textbook interval of a difference of independent variables."""
    normal, errors = statistics.NormalDist(), (0.02, 0.05)
    reach = normal.inv_cdf(0.975)
    before, after = (
        Measured(value, (value - reach * error, value + reach * error))
        for value, error in zip((0.40, 0.46), errors, strict=True)
    )
    gain = gain_per_hour(before, after, hours=2.0)
    assert gain is not None
    difference = statistics.NormalDist(0.06 / 2, math.hypot(*errors) / 2)
    assert gain.value == pytest.approx(0.03)
    assert (gain.low, gain.high) == pytest.approx((difference.inv_cdf(0.025), difference.inv_cdf(0.975)))


def test_gain_of_crooked_intervals_by_hand() -> None:
    gain = gain_per_hour(Measured(0.5, (0.46, 0.62)), Measured(0.6, (0.51, 0.63)), hours=1.0)
    assert gain is not None
    assert (gain.low, gain.high) == pytest.approx((0.1 - 0.15, 0.1 + 0.05))  # √(0.09² + 0.12²), √(0.03² + 0.04²)


@pytest.mark.parametrize("hours", [0.0, -1.0])
def test_without_labour_or_interval_there_is_no_gain(hours: float) -> None:
    known = Measured(0.5, (0.4, 0.6))
    assert gain_per_hour(known, known, hours) is None
    assert gain_per_hour(known, Measured(0.5), 1.0) is None
    assert gain_per_hour(None, known, 1.0) is None


figures = st.floats(0, 1)
curves = st.lists(figures, min_size=1, max_size=6)


@given(curves, figures, figures, st.floats(0.01, 0.2), st.floats(0.01, 5), st.integers(1, 3))
def test_a_stricter_threshold_never_ends_a_run_earlier(
    values: list[float], one: float, other: float, half_width: float, hours: float, over: int
) -> None:
    looser, stricter = sorted((one + 0.001, other + 0.001))
    rounds = rounds_of(*values, hours=hours, half_width=half_width, uncertainties=tuple(values))

    def last_round(criterion: Criterion) -> int:
        ends = (first_to_hold([criterion], rounds[: n + 1]) for n in range(len(rounds)))
        return next((end.round for end in ends if end is not None), len(rounds))

    assert last_round(TargetReached(METRIC, stricter)) >= last_round(TargetReached(METRIC, looser))
    assert last_round(TargetReached(METRIC, looser, surely=True)) >= last_round(TargetReached(METRIC, looser))
    assert last_round(GainTooSmall(METRIC, looser, over)) >= last_round(GainTooSmall(METRIC, stricter, over))
    assert last_round(FlatUncertainty(looser, over)) >= last_round(FlatUncertainty(stricter, over))
