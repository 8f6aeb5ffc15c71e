"""Oracle: two arms and full supervision over three seeds, worked out by hand; properties for all curves."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from hybridal_ray.comparison.answer import Answer, Question
from hybridal_ray.comparison.answering import answer
from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.results import Curve

METRIC = "frame_map@0.5"
QUESTION = Question("test", ("random", "claus"), (METRIC,), "random", (0.5, 0.9, 1.0), (2.0,))


def curve(
    arm: str, seed: int, frames: tuple[int, ...], values: tuple[float | None, ...], finished: bool = True
) -> Curve:
    """A run on a pool of 1,000 frames, whose labels take a minute a frame."""
    return Curve(
        arm,
        seed,
        "finished" if finished else "round 1 of 2: score is next",
        finished,
        frames,
        tuple(count / 10 for count in frames),
        tuple(60.0 * count for count in frames),
        {METRIC: values},
    )


FRAMES = (10, 20, 40)
CURVES = (
    curve("random", 0, FRAMES, (0.1, 0.2, 0.3)),
    curve("random", 1, FRAMES, (0.2, 0.3, 0.4)),
    curve("random", 2, FRAMES, (0.0, 0.1, 0.2)),
    curve("claus", 0, FRAMES, (0.1, 0.3, 0.5)),
    curve("claus", 1, FRAMES, (0.2, 0.4, 0.6)),
    curve("claus", 2, FRAMES, (0.0, 0.3, 0.4)),
    curve(FULL, 0, (1000,), (0.4,)),
    curve(FULL, 1, (1000,), (0.6,)),
)


@pytest.fixture
def found() -> Answer:
    return answer(QUESTION, CURVES)


def test_mean_curve(found: Answer) -> None:
    points = found.metrics[METRIC].arms["claus"].points

    assert [point.frames for point in points] == [10, 20, 40]
    assert [point.percent for point in points] == [1, 2, 4]
    assert [point.seconds for point in points] == [600, 1200, 2400]
    assert [point.value.mean for point in points] == pytest.approx([0.1, 1 / 3, 0.5])
    assert points[0].value.deviation == pytest.approx(0.1)


def test_areas(found: Answer) -> None:
    """Of random's seed 0: (10 · 0.15 + 20 · 0.25) / 30 = 6.5 / 30; its others lie 0.1 higher and lower."""
    of_metric = found.metrics[METRIC]

    assert of_metric.frames == (10, 40)
    assert of_metric.arms["random"].area.mean == pytest.approx(6.5 / 30)
    # Of CLAUS: (2 + 8) / 30, (3 + 10) / 30, (1.5 + 7) / 30.
    assert of_metric.arms["claus"].area.mean == pytest.approx(31.5 / 90)


def test_paired_difference_of_the_areas(found: Answer) -> None:
    gains = [(10 - 6.5) / 30, (13 - 9.5) / 30, (8.5 - 3.5) / 30]
    interval = stats.ttest_1samp(gains, 0).confidence_interval(0.95)

    found_difference = found.metrics[METRIC].arms["claus"].area_difference
    difference = found_difference.gain

    assert (found_difference.low, found_difference.high) == (10, 40)
    assert difference.mean == pytest.approx(sum(gains) / 3)
    assert (difference.low, difference.high, difference.n) == (
        pytest.approx(interval.low), pytest.approx(interval.high), 3,
    )  # fmt: skip


def test_paired_difference_of_the_areas_against_labour() -> None:
    """A label of CLAUS takes half a minute here, so that it has 40 frames where random has 20."""
    cheap = [dataclasses.replace(each, seconds=tuple(30.0 * count for count in each.frames)) if each.arm == "claus"
             else each for each in CURVES]  # fmt: skip
    of_metric = answer(QUESTION, cheap).metrics[METRIC]

    # From 600 to 1,200 s: of random 0.15, 0.25 and 0.05; of CLAUS, from 20 to 40 frames, 0.4, 0.5 and 0.35.
    difference = of_metric.arms["claus"].labour_difference
    assert (difference.low, difference.high) == (600, 1200)
    assert difference.gain.mean == pytest.approx((0.25 + 0.25 + 0.3) / 3)
    assert of_metric.arms["random"].labour_difference is None


def test_labour_that_one_run_does_not_know_is_not_compared() -> None:
    unknown = dataclasses.replace(CURVES[3], seconds=(None, None, None))
    of_metric = answer(QUESTION, [*CURVES[:3], unknown, *CURVES[4:]]).metrics[METRIC]

    assert of_metric.arms["claus"].labour_difference is None
    assert of_metric.arms["claus"].area_difference.gain.n == 3


def test_ends_are_compared_with_full_supervision_whatever_both_have_bought() -> None:
    """Seeds 0 and 1 end with 0.5 and 0.6 after 40 frames, full supervision with 0.4 and 0.6 after 1,000."""
    found = answer(dataclasses.replace(QUESTION, reference=FULL), CURVES).metrics[METRIC].arms["claus"]

    assert (found.last_difference.mean, found.last_difference.n) == (pytest.approx(0.05), 2)
    assert found.area_difference is None
    assert found.differences == []


def test_the_reference_is_not_compared_with_itself(found: Answer) -> None:
    random = found.metrics[METRIC].arms["random"]

    assert random.area_difference is None
    assert random.differences == []


def test_differences_at_each_budget(found: Answer) -> None:
    differences = found.metrics[METRIC].arms["claus"].differences

    assert [each.frames for each in differences] == [10, 20, 40]
    assert [each.gain.mean for each in differences] == pytest.approx([0.0, 0.4 / 3, 0.2])
    assert [each.gain.n for each in differences] == [3, 3, 3]


def test_labels_that_a_share_of_full_supervision_takes(found: Answer) -> None:
    """Full supervision has 0.5, so 0.25, 0.45 and 0.5 are asked for."""
    claus = found.metrics[METRIC].arms["claus"].needs
    random = found.metrics[METRIC].arms["random"].needs

    assert [need.figure for need in claus] == pytest.approx([0.25, 0.45, 0.5])
    # 0.25: after 17.5, 12.5 and 10 + 10 · 0.25 / 0.3 frames.
    assert claus[0].frames.mean == pytest.approx((17.5 + 12.5 + 10 + 25 / 3) / 3)
    assert claus[0].seconds.mean == pytest.approx(60 * claus[0].frames.mean)
    assert claus[0].percent.mean == pytest.approx(claus[0].frames.mean / 10)
    # 0.45: after 35 and 25 frames; seed 2 does not get there with its 40.
    assert (claus[1].reached, claus[1].n, claus[1].frames.mean) == (2, 3, pytest.approx(100 / 3))
    assert (claus[0].sign, claus[1].sign) == ("", "≥ ")
    assert [need.reached for need in random] == [2, 0, 0]
    assert random[1].frames is None


def test_a_share_that_the_first_labels_reach_may_have_taken_fewer() -> None:
    """0.2 is asked for: seed 0 begins above it, seed 1 gets there half way from 10 to 20, seed 2 never within 20."""
    curves = [
        curve("claus", 0, (10, 20), (0.3, 0.4)),
        curve("claus", 1, (10, 20), (0.1, 0.3)),
        curve("claus", 2, (10, 20), (0.0, 0.1)),
        curve(FULL, 0, (1000,), (0.4,)),
    ]
    asked = dataclasses.replace(QUESTION, targets=(0.5,))
    needs = [answer(asked, [*some, curves[-1]]).metrics[METRIC].arms["claus"].needs[0]
             for some in (curves[:1], curves[:2], curves[1:2], curves[:3])]  # fmt: skip

    assert [(need.sign, need.at_once, need.reached) for need in needs] == [
        ("≤ ", 1, 1), ("≤ ", 1, 2), ("", 0, 1), ("≈ ", 1, 2),
    ]  # fmt: skip
    assert [need.frames.mean for need in needs] == pytest.approx([10, 12.5, 15, 15])


def test_labels_in_hours_are_of_all_seeds_or_of_none() -> None:
    unknown = dataclasses.replace(CURVES[4], seconds=(None, None, None))
    need = answer(QUESTION, [*CURVES[:4], unknown, *CURVES[5:]]).metrics[METRIC].arms["claus"].needs[0]

    assert need.frames is not None
    assert need.seconds is None


def test_full_supervision_is_that_of_the_same_pool() -> None:
    """Seed 0's pool can reach 0.5, seed 1's 1.0; of seed 2's there is no full supervision."""
    by_seed = [dataclasses.replace(each, pool=f"pool-{each.seed}") for each in (*CURVES[:6], curve(FULL, 0, (1000,),
               (0.5,)), curve(FULL, 1, (1000,), (1.0,)))]  # fmt: skip
    claus = answer(QUESTION, by_seed).metrics[METRIC].arms["claus"]

    assert claus.share_at[2.0].mean == pytest.approx((0.3 / 0.5 + 0.4 / 1.0) / 2)
    # Half of it: 0.25 after 17.5 frames, and 0.5 after 30.
    assert (claus.needs[0].n, claus.needs[0].figure) == (2, pytest.approx((0.25 + 0.5) / 2))
    assert claus.needs[0].frames.mean == pytest.approx((17.5 + 30) / 2)
    assert claus.last.n == 3


def test_share_of_full_supervision_at_a_budget(found: Answer) -> None:
    """2 % are 20 frames: 0.3, 0.4 and 0.3 of 0.5."""
    share = found.metrics[METRIC].arms["claus"].share_at[2.0]

    assert share.mean == pytest.approx((0.6 + 0.8 + 0.6) / 3)


def test_full_supervision_that_finds_nothing_has_no_shares() -> None:
    """What detects nothing at all has a figure of exactly 0, of which nothing is a share."""
    found = answer(QUESTION, [*CURVES[:6], curve(FULL, 0, (1000,), (0.0,))]).metrics[METRIC]

    assert found.full is not None
    assert found.full.mean == 0.0
    assert (found.arms["claus"].share_at, found.arms["claus"].needs) == ({}, [])
    assert found.arms["claus"].area_difference.gain.n == 3


def test_a_budget_that_a_curve_misses_by_little_counts_with_its_end() -> None:
    """The curves go from 1 to 4 %: 0.985 and 4.05 % are within a fiftieth of that, 0.9 and 4.2 % are not."""
    asked = dataclasses.replace(QUESTION, at_percent=(0.9, 0.985, 4.05, 4.2))
    shares = answer(asked, CURVES).metrics[METRIC].arms["random"].share_at
    assert {at: share.mean for at, share in shares.items()} == pytest.approx({0.985: 0.1 / 0.5, 4.05: 0.3 / 0.5})


def test_a_run_under_way_is_drawn_but_not_judged() -> None:
    begun = curve("claus", 2, (10, 20), (0.0, 0.9), finished=False)
    found = answer(QUESTION, [*CURVES[:5], begun, *CURVES[6:]]).metrics[METRIC].arms["claus"]

    assert [(point.value.n, point.missing) for point in found.points] == [(3, 0), (3, 0), (2, 1)]
    assert (found.area.n, found.area_difference.gain.n) == (2, 2)
    assert found.needs[0].n == 2


def test_arms_with_other_rounds_meet_on_the_budgets_of_the_reference() -> None:
    """CLAUS buys 15 frames a round: at 20 it is one third of the way from 0.1 to 0.4."""
    others = [curve("random", 0, (10, 20, 40), (0.1, 0.2, 0.3)), curve("claus", 0, (10, 40), (0.1, 0.4))]
    found = answer(QUESTION, others).metrics[METRIC].arms["claus"]

    assert [(each.frames, each.gain.mean) for each in found.differences] == [
        (10, pytest.approx(0.0)), (20, pytest.approx(0.0)), (40, pytest.approx(0.1)),
    ]  # fmt: skip


def test_only_budgets_that_both_reach_are_compared() -> None:
    others = [curve("random", 0, (10, 20, 40), (0.1, 0.2, 0.3)), curve("claus", 0, (10, 20), (0.1, 0.4))]
    found = answer(QUESTION, others).metrics[METRIC]

    assert found.frames == (10, 20)
    assert [each.frames for each in found.arms["claus"].differences] == [10, 20]


def test_a_run_of_one_round_takes_no_area_away() -> None:
    """Runs set side by side: full supervision's one point spans nothing."""
    alone = dataclasses.replace(QUESTION, arms=("random", "claus", "full-0"))
    found = answer(alone, [CURVES[0], CURVES[3], curve("full-0", 0, (1000,), (0.4,))]).metrics[METRIC]

    assert found.frames == (10, 40)
    assert found.arms["claus"].area_difference.gain.mean == pytest.approx((10 - 6.5) / 30)
    assert (found.arms["full-0"].area, found.arms["full-0"].area_difference) == (None, None)


def test_a_run_that_ends_early_shortens_no_difference_but_its_own_arm_s() -> None:
    """A third arm's only run ends at 20 frames: CLAUS and random are compared up to 40 all the same."""
    asked = dataclasses.replace(QUESTION, arms=("random", "claus", "short"))
    found = answer(asked, [*CURVES, curve("short", 0, (10, 20), (0.1, 0.4))]).metrics[METRIC]
    claus, short = found.arms["claus"].area_difference, found.arms["short"].area_difference

    assert (found.frames, found.ends_first) == ((10, 20), "short-0")
    assert (claus.low, claus.high, claus.gain.mean) == (10, 40, pytest.approx(12 / 90))
    assert (short.low, short.high, short.gain.mean) == (10, 20, pytest.approx(0.25 - 0.15))


def test_runs_that_end_together_end_nowhere_first(found: Answer) -> None:
    assert found.metrics[METRIC].ends_first is None


def test_seeds_with_other_budgets_are_averaged_at_budgets_and_not_by_round() -> None:
    """At 30 frames seed 0 is at 0.4 and seed 1 half way from 0.2 to 0.4; beyond 40 there is seed 1 alone."""
    curves = [
        curve("claus", 0, (10, 30, 40), (0.2, 0.4, 0.5)),
        curve("claus", 1, (10, 20, 40, 80), (0.1, 0.2, 0.4, 1.0)),
    ]
    points = answer(QUESTION, curves).metrics[METRIC].arms["claus"].points

    assert [(point.round, point.frames, point.missing) for point in points] == [
        (None, 10, 0), (None, 20, 0), (None, 30, 0), (None, 40, 0), (None, 80, 1),
    ]  # fmt: skip
    assert [point.value.mean for point in points] == pytest.approx([0.15, 0.25, 0.35, 0.45, 1.0])
    assert [point.seconds for point in points] == [600, 1200, 1800, 2400, 4800]


def test_budgets_that_differ_by_a_rounding_are_the_same() -> None:
    curves = [curve("claus", 0, (100, 200), (0.2, 0.4)), curve("claus", 1, (101, 203), (0.1, 0.2))]
    points = answer(QUESTION, curves).metrics[METRIC].arms["claus"].points

    assert [(point.round, point.frames, point.value.n) for point in points] == [(0, 100.5, 2), (1, 201.5, 2)]


def test_a_round_without_the_figure_is_left_out() -> None:
    found = answer(QUESTION, [curve("claus", 0, FRAMES, (None, 0.3, 0.5))]).metrics[METRIC]

    assert [point.round for point in found.arms["claus"].points] == [1, 2]
    assert found.frames == (20, 40)


def test_a_round_without_the_figure_shifts_no_difference() -> None:
    """Seed 1's reference has none in round 0: only rounds 1 and 2 are there of both, at 20 and 40 frames."""
    curves = [*CURVES[:1], curve("random", 1, FRAMES, (None, 0.3, 0.4)), *CURVES[3:5]]
    differences = answer(QUESTION, curves).metrics[METRIC].arms["claus"].differences

    assert [(each.frames, each.percent, each.gain.n) for each in differences] == [(20, 2, 2), (40, 4, 2)]
    assert [each.gain.mean for each in differences] == pytest.approx([0.1, 0.2])


def test_nothing_done_yet() -> None:
    found = answer(QUESTION, [Curve("claus", 0, "not begun", finished=False)])

    assert found.metrics[METRIC].arms["claus"].points == []
    assert found.metrics[METRIC].full is None
    assert found.figures() == {}


def test_figures_by_name(found: Answer) -> None:
    figures = found.figures()

    assert figures["full/frame_map@0.5"] == pytest.approx(0.5)
    assert figures["area/frame_map@0.5/claus"] == pytest.approx(31.5 / 90)
    assert figures["area_difference/frame_map@0.5/claus"] == pytest.approx(12 / 90)
    assert figures["labour_area_difference/frame_map@0.5/claus"] == pytest.approx(12 / 90)  # a minute a frame
    assert figures["share_of_full_at_2_percent/frame_map@0.5/claus"] == pytest.approx(2 / 3)


heights = st.lists(st.floats(0, 1), min_size=3, max_size=3).map(tuple)


@given(st.lists(st.tuples(heights, heights), min_size=2, max_size=5))
def test_differences_are_antisymmetric(pairs: list[tuple[tuple[float, ...], tuple[float, ...]]]) -> None:
    curves = [curve(arm, seed, FRAMES, values) for seed, pair in enumerate(pairs)
              for arm, values in zip(("random", "claus"), pair, strict=True)]  # fmt: skip
    back = dataclasses.replace(QUESTION, reference="claus")

    one = answer(QUESTION, curves).metrics[METRIC].arms["claus"]
    other = answer(back, curves).metrics[METRIC].arms["random"]

    assert one.area_difference.gain.mean == pytest.approx(-other.area_difference.gain.mean)
    assert one.area_difference.gain.low == pytest.approx(-other.area_difference.gain.high)
    for there, here in zip(one.differences, other.differences, strict=True):
        assert there.gain.mean == pytest.approx(-here.gain.mean)


@given(st.permutations(CURVES))
def test_the_order_of_the_runs_does_not_matter(shuffled: list[Curve]) -> None:
    found, usual = answer(QUESTION, shuffled).figures(), answer(QUESTION, CURVES).figures()

    assert found == pytest.approx(usual)
