"""Oracles: shares counted by loop; for small cases, every possible split enumerated."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool.splits import split_by_source

# Every class has two sources of its own, so that a split always exists; sources 0…5 may be shared by classes.
CLIPS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), max_size=40).map(
    lambda shared: [
        *[(f"class-{name}", f"shared-{source}") for name, source in shared],
        *[(f"class-{name}", f"own-{name}-{source}") for name in range(4) for source in range(2)],
    ]
)


@settings(max_examples=60, deadline=None)
@given(clips=CLIPS, fraction=st.floats(0.1, 0.9), seed=st.integers(0, 9), shuffle=st.randoms())
def test_every_class_is_on_both_sides_whatever_the_order_of_clips(clips, fraction, seed, shuffle) -> None:
    splits = split_by_source(*zip(*clips, strict=True), fraction, seed)

    sides = {(name, splits[source]) for name, source in clips}
    assert sides == {(f"class-{name}", side) for name in range(4) for side in ("train", "test")}
    reordered = list(clips)
    shuffle.shuffle(reordered)
    assert split_by_source(*zip(*reordered, strict=True), fraction, seed) == splits


@pytest.mark.parametrize("seed", range(5))
def test_no_single_source_could_move_to_bring_the_shares_nearer(seed: int) -> None:
    sizes = [5, 1, 3, 2, 2, 4, 1, 2]
    clips = [("run", f"source-{number}") for number, size in enumerate(sizes) for _ in range(size)]

    def deviation(splits: dict[str, str]) -> float:
        held_out = Counter(splits[source] for _, source in clips)["test"] / len(clips)
        return abs(held_out - 0.3)

    splits = dict(split_by_source(*zip(*clips, strict=True), 0.3, seed))
    for source, side in splits.items():
        assert deviation({**splits, source: "train" if side == "test" else "test"}) >= deviation(splits) - 1e-9


def test_shares_are_near_the_best_of_all_splits() -> None:
    sizes = {"run": [3, 2, 2, 1, 1, 1], "jump": [4, 3, 2, 1]}
    clips = [
        (name, f"{name}-{number}")
        for name, counts in sizes.items()
        for number, size in enumerate(counts)
        for _ in range(size)
    ]
    for name, counts in sizes.items():
        best = min(
            abs(sum(size for size, out in zip(counts, sides, strict=True) if out) / sum(counts) - 0.3)
            for sides in product([False, True], repeat=len(counts))
            if 0 < sum(sides) < len(counts)
        )
        splits = split_by_source(*zip(*clips, strict=True), 0.3, seed=0)
        held_out = [splits[source] == "test" for action, source in clips if action == name]
        assert abs(sum(held_out) / len(held_out) - 0.3) <= best + 0.1


def test_another_seed_gives_another_split() -> None:
    clips = [("run", f"source-{number}") for number in range(20)]
    splits = {tuple(sorted(split_by_source(*zip(*clips, strict=True), 0.3, seed).items())) for seed in range(5)}
    assert len(splits) == 5


def test_a_class_of_one_source_is_refused() -> None:
    with pytest.raises(UserError, match="class 'jump'"):
        split_by_source(["run", "run", "jump", "jump"], ["a", "b", "c", "c"], 0.3, 0)


@pytest.mark.parametrize("fraction", [-0.1, 0.0, 1.0, float("nan")])
def test_a_fraction_that_leaves_a_side_empty_is_refused(fraction: float) -> None:
    with pytest.raises(UserError, match="test_fraction"):
        split_by_source(["run", "run"], ["a", "b"], fraction, 0)
