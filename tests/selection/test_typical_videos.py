"""Oracles: loops over all pairs, and choices made by hand on a line."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up_pools import RELAXED, make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection import typical_videos
from hybridal_ray.selection.strategies import run_strategy
from hybridal_ray.selection.typical_videos import TypicalVideos, loneliness_of, take_typical

POINTS = arrays(np.float32, st.tuples(st.integers(1, 10), st.just(2)), elements=st.integers(-9, 9))


@RELAXED
@given(POINTS, st.integers(1, 12))
def test_loneliness_is_the_mean_distance_to_the_nearest_others(points, neighbours):
    for index, found in enumerate(loneliness_of(points, neighbours)):
        others = sorted(math.dist(points[index], point) for other, point in enumerate(points) if other != index)
        nearest = others[:neighbours]
        assert found == pytest.approx(sum(nearest) / len(nearest) if nearest else math.inf)


@RELAXED
@given(POINTS, st.integers(1, 12), st.integers(1, 5))
def test_in_a_large_cluster_every_so_manieth_point_is_compared_with(points, neighbours, most):
    compared = {index * len(points) // min(most, len(points)) for index in range(min(most, len(points)))}
    for index, found in enumerate(loneliness_of(points, neighbours, most)):
        others = sorted(math.dist(points[index], points[other]) for other in compared if other != index)
        nearest = others[:neighbours]
        assert found == pytest.approx(sum(nearest) / len(nearest) if nearest else math.inf)


def test_of_a_large_pool_k_means_sees_a_part_and_every_video_is_sorted(monkeypatch):
    monkeypatch.setattr(typical_videos, "MOST_CLUSTERED", 6)
    places = {f"v{index:02d}": 50.0 * (index % 3) + index / 100 for index in range(12)}
    rows = [score_row(name, 1.0, [place], [0]) for name, place in places.items()]
    request = make_request([make_video(name) for name in places], rows, num_videos=3)
    picked = run_strategy("typiclust", {"restarts": 5}, request).picks["video_id"].to_pylist()
    assert {int(name[1:]) % 3 for name in picked} == {0, 1, 2}


def test_the_emptiest_cluster_comes_first_then_the_largest():
    cluster_of = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
    loneliness = np.array([3.0, 1, 2, 1, 2, 9, 8, 7, 7])
    taken = take_typical(np.arange(9), 5, cluster_of, loneliness, np.array([1, 0, 0]))
    # Clusters 2 (four videos) and 1 hold nothing; then all hold one: 2 again, 0, 1.
    assert taken == [7, 3, 8, 1, 4]


def test_a_cluster_with_a_label_is_left_and_of_the_others_the_middle_is_taken():
    places = {"a1": 0.0, "a2": 0.1, "a3": 0.3, "b1": 50.0, "b2": 50.3, "b3": 50.4, "c1": 99.0, "c2": 99.1, "c3": 99.3}
    rows = [score_row(name, 1.0, [place], [0]) for name, place in places.items()]
    videos = [make_video(name, 20) for name in places]
    request = make_request(videos, rows, labelled={"b1": [3]}, num_videos=2, frames_per_video=2)
    picks = run_strategy("typiclust", {"neighbours": 2, "restarts": 5}, request).picks
    assert sorted(set(picks["video_id"].to_pylist())) == ["a2", "c2"]
    assert picks["frame"].to_pylist() == [5, 15] * 2  # equidistant, for scoring need not know of uncertainty


def test_a_first_round_needs_nothing_but_latents():
    rows = [score_row(f"v{index}", 1.0, [float(index // 3) * 9 + index / 10], [0]) for index in range(9)]
    for row in rows:
        row |= dict.fromkeys(("video_score", "frames", "frame_scores", "frame_penalties", "profile", "class_scores"))
    request = make_request([make_video(row["video_id"]) for row in rows], rows, num_videos=3, centres=None)
    picked = sorted(set(run_strategy("typiclust", {}, request).picks["video_id"].to_pylist()))
    assert [int(name[1:]) // 3 for name in picked] == [0, 1, 2]


def test_an_option_that_makes_no_sense_is_named():
    with pytest.raises(UserError, match=r"selection\.options\.neighbours: found 0"):
        TypicalVideos(neighbours=0)
