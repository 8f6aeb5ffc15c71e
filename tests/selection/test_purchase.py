"""Oracles: exact fractions for the order of purchase, and tables written out by hand."""

from fractions import Fraction

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase

RELAXED = settings(deadline=None)  # machines that test are busy
FIRST = PickedVideo("a", frames=[7, 2], uncertainties=[3.0, 2.0], penalties=[0.0, 0.5], video_score=2.25, cluster=1)
SECOND = PickedVideo("b", frames=[0], uncertainties=[1.0], penalties=[0.0], video_score=1.0, cluster=1)


def test_quotas_of_6_3_and_1_are_interleaved_as_by_hand():
    strata = [["a0", "a1", "a2", "a3", "a4", "a5"], ["b0", "b1", "b2"], ["c0"]]
    # at 1/12 a0, 1/6 b0, 3/12 a1, 5/12 a2, then at 1/2 b1 before c0, and the mirror image of it
    assert interleave(strata) == ["a0", "b0", "a1", "a2", "b1", "c0", "a3", "a4", "b2", "a5"]


@RELAXED
@given(st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_every_prefix_is_shared_out_in_proportion(quotas):
    strata = [[(number, index) for index in range(quota)] for number, quota in enumerate(quotas)]
    merged = interleave(strata)
    assert sorted(merged) == sorted(item for stratum in strata for item in stratum)
    bought = [0] * len(quotas)
    for number, index in merged:
        assert index == bought[number]  # the order within a list stays
        bought[number] += 1
        fraction = Fraction(2 * index + 1, 2 * quotas[number])
        for count, quota in zip(bought, quotas, strict=True):
            assert abs(count - fraction * quota) <= Fraction(1, 2)


def test_the_table_says_why_each_frame_is_bought():
    assert purchase([FIRST, SECOND], max_frames=None).to_pylist() == [
        {"video_id": "a", "frame": 7, "rank": 0, "cluster": 1, "quota": 2}
        | {"uncertainty": 3.0, "proximity_penalty": 0.0, "video_score": 2.25},
        {"video_id": "a", "frame": 2, "rank": 1, "cluster": 1, "quota": 2}
        | {"uncertainty": 2.0, "proximity_penalty": 0.5, "video_score": 2.25},
        {"video_id": "b", "frame": 0, "rank": 2, "cluster": 1, "quota": 2}
        | {"uncertainty": 1.0, "proximity_penalty": 0.0, "video_score": 1.0},
    ]


def test_what_a_strategy_does_not_know_is_null():
    (row,) = purchase([PickedVideo("a", frames=[4])], max_frames=None).to_pylist()
    assert row == dict.fromkeys(SELECTION_SCHEMA.names) | {"video_id": "a", "frame": 4, "rank": 0}


def test_the_bound_on_frames_cuts_the_end_of_the_ranking_but_not_the_quota():
    table = purchase([FIRST, SECOND], max_frames=1)
    assert table.select(["video_id", "frame", "quota"]).to_pylist() == [{"video_id": "a", "frame": 7, "quota": 2}]


def test_nothing_bought_is_an_empty_table_of_the_schema():
    assert purchase([], max_frames=None) == pa.Table.from_pylist([], schema=SELECTION_SCHEMA)
