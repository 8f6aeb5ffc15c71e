"""Oracles: a search through every way of sharing out, quotas found by bisection, and a case done by hand."""

import itertools

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hybridal_ray.selection.budgets import even_shares, proportional_shares, split_new_and_revisited

RELAXED = settings(deadline=None)  # machines that test are busy
clusters = st.lists(
    st.integers(0, 9).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size))), min_size=1, max_size=6
)


def quotas_by_bisection(budget: int, sizes: list[int], capacities: list[int]) -> list[float]:
    """min(capacity, rate × size), its rate found by halving an interval."""
    low, high = 0.0, 1.0  # a capacity is never above the size, so at rate 1 everything is full

    def at(rate: float) -> list[float]:
        return [min(capacity, rate * size) for size, capacity in zip(sizes, capacities, strict=True)]

    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(at(middle)) < budget else (low, middle)
    return at(high)


def best_shares(quotas: list[float], capacities: list[int], total: int) -> tuple[int, ...]:
    """Of all whole shares within capacity, those nearest to the quotas; of equally near, most to low ids."""
    ways = itertools.product(*(range(capacity + 1) for capacity in capacities))

    def badness(shares: tuple[int, ...]) -> tuple[float, tuple[int, ...]]:
        distance = sum((share - quota) ** 2 for share, quota in zip(shares, quotas, strict=True))
        return round(distance, 6), tuple(-share for share in shares)

    return min((shares for shares in ways if sum(shares) == total), key=badness)


@RELAXED
@given(st.integers(0, 20), st.lists(clusters.map(lambda some: some[0]), min_size=1, max_size=4))
def test_shares_are_the_nearest_to_the_exact_quotas(budget, some):
    sizes, capacities = [size for size, _ in some], [capacity for _, capacity in some]
    shares = proportional_shares(budget, sizes, capacities)
    quotas = quotas_by_bisection(budget, sizes, capacities)
    assert tuple(shares) == best_shares(quotas, capacities, min(budget, sum(capacities)))


@RELAXED
@given(st.integers(0, 40), st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8))
def test_even_shares_raise_the_lowest_first(budget, videos):
    held, capacities = [count for count, _ in videos], [capacity for _, capacity in videos]
    shares = even_shares(budget, held, capacities)
    assert sum(shares) == min(budget, sum(capacities))
    after = [count + share for count, share in zip(held, shares, strict=True)]
    assert all(0 <= share <= capacity for share, capacity in zip(shares, capacities, strict=True))
    for giver, taker in itertools.permutations(range(len(shares)), 2):
        if shares[giver] and shares[taker] < capacities[taker]:  # who could have had the last frame holds no fewer
            assert after[taker] >= after[giver] - 1


@RELAXED
@given(st.integers(0, 60), clusters)
def test_everything_that_can_be_bought_is(budget, some):
    sizes, capacities = [size for size, _ in some], [capacity for _, capacity in some]
    shares = proportional_shares(budget, sizes, capacities)
    assert sum(shares) == min(budget, sum(capacities))
    assert all(0 <= share <= capacity for share, capacity in zip(shares, capacities, strict=True))


@RELAXED
@given(st.integers(0, 60), st.lists(st.integers(0, 50), min_size=1, max_size=8))
def test_shares_lie_within_one_of_the_proportion_when_no_capacity_binds(budget, sizes):
    assume(sum(sizes) > 0)
    shares = proportional_shares(budget, sizes, [budget] * len(sizes))
    for share, size in zip(shares, sizes, strict=True):
        assert abs(share * sum(sizes) - budget * size) < sum(sizes)


@RELAXED
@given(st.integers(0, 60), clusters)
def test_a_larger_cluster_never_gets_less_unless_it_is_exhausted(budget, some):
    sizes, capacities = [size for size, _ in some], [capacity for _, capacity in some]
    shares = proportional_shares(budget, sizes, capacities)
    for larger, smaller in itertools.permutations(range(len(some)), 2):
        if sizes[larger] > sizes[smaller]:
            assert shares[larger] >= min(shares[smaller], capacities[larger])


@pytest.mark.parametrize(
    ("budget", "sizes", "capacities", "expected"),
    [
        (3, [5, 5], [5, 5], [2, 1]),  # a tie of remainders goes to the lower id
        (10, [60, 30, 10], [60, 30, 10], [6, 3, 1]),
        (10, [60, 30, 10], [2, 30, 10], [2, 6, 2]),  # the 4 left over by the first go 3 : 1
        (5, [0, 4], [0, 2], [0, 2]),
        (0, [3, 4], [3, 4], [0, 0]),
        (4, [], [], []),
    ],
)
def test_shares_worked_out_by_hand(budget, sizes, capacities, expected):
    assert proportional_shares(budget, sizes, capacities) == expected


@pytest.mark.parametrize(
    ("num_videos", "fraction", "new_available", "revisits_available", "expected"),
    [
        (10, 0.0, 50, 50, (10, 0)),
        (10, 1.0, 50, 50, (0, 10)),
        (10, 0.25, 50, 50, (7, 3)),  # 2.5 revisits, rounded half up
        (10, 0.3, 50, 1, (9, 1)),  # too few to revisit: new ones instead
        (10, 0.0, 6, 50, (6, 4)),  # too few new ones: revisits instead, though none were asked for
        (10, 0.5, 2, 3, (2, 3)),  # too few of both
    ],
)
def test_new_and_revisited_videos(num_videos, fraction, new_available, revisits_available, expected):
    split = split_new_and_revisited(
        num_videos, fraction, new_available=new_available, revisits_available=revisits_available
    )
    assert split == expected
