"""Oracles: chances of k-means++ worked out by hand, against the frequencies of many draws."""

from collections import Counter

import numpy as np
import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.selection.badge import BadgeVideos, k_means_plus_plus
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.strategies import run_strategy

DRAWS = 4000


def test_chances_are_the_squared_distances_from_what_was_drawn():
    points = np.array([[0.0], [1.0], [3.0], [4.0]])
    drawn = [tuple(k_means_plus_plus(points, 3, np.random.default_rng(seed))) for seed in range(DRAWS)]
    counts = Counter(drawn)
    # The first is 3, of the largest norm. Squared distances from it: 16, 9, 1. Of the third: by the nearest of both.
    expected = {
        (3, 0, 1): 16 / 26 * 1 / 2,
        (3, 0, 2): 16 / 26 * 1 / 2,
        (3, 1, 0): 9 / 26 * 1 / 2,
        (3, 1, 2): 9 / 26 * 1 / 2,
        (3, 2, 0): 1 / 26 * 9 / 13,
        (3, 2, 1): 1 / 26 * 4 / 13,
    }
    assert set(counts) <= set(expected)
    for order, chance in expected.items():
        error = 4 * np.sqrt(chance * (1 - chance) / DRAWS)
        assert counts[order] / DRAWS == pytest.approx(chance, abs=error)


def test_points_that_all_lie_in_one_place_are_drawn_alike():
    drawn = [tuple(k_means_plus_plus(np.ones((3, 2)), 3, np.random.default_rng(seed))) for seed in range(50)]
    assert {tuple(sorted(order)) for order in drawn} == {(0, 1, 2)}
    assert set(drawn) == {(0, 1, 2), (0, 2, 1)}


def test_an_uncertain_video_weighs_more_than_a_certain_one_far_away():
    # Scaled latents: 10 · 0.1 = 1 and 3 · 2 = 6; penalties, which video_score holds, do not count.
    rows = [score_row("certain", 5.0, [10.0], [0]), score_row("unsure", -5.0, [3.0], [0])]
    rows[0]["frame_scores"], rows[1]["frame_scores"] = [0.1], [2.0]
    request = make_request([make_video("certain"), make_video("unsure")], rows, num_videos=1)
    assert run_strategy("badge", {}, request).picks["video_id"].to_pylist() == ["unsure"]
    assert Combined(BadgeVideos(), frame_rule("scored")).select(request).picks["uncertainty"].to_pylist() == [2.0]
