"""Oracle: the max-min choice by brute force over all pairs."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from made_up_pools import RELAXED, make_request, make_video, score_row

from hybridal_ray.selection.core_set import k_centre_greedy
from hybridal_ray.selection.strategies import run_strategy

# Whole numbers, so that brute force and vectors agree to the last bit, and ties are frequent.
POINTS = arrays(np.float32, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(-4, 4))


def by_brute_force(points: np.ndarray, centres: list[list[float]], count: int) -> list[int]:
    taken: list[int] = []
    if count and not centres:
        mean = [sum(float(p[axis]) for p in points) / len(points) for axis in range(2)]
        taken.append(min(range(len(points)), key=lambda index: (math.dist(points[index], mean), index)))
    while len(taken) < count:
        held = centres + [points[index].tolist() for index in taken]
        best, farthest = -1, -1.0
        for index in range(len(points)):
            distance = min(math.dist(points[index], centre) for centre in held)
            if index not in taken and distance > farthest + 1e-9:
                best, farthest = index, distance
        taken.append(best)
    return taken


@RELAXED
@given(POINTS, POINTS, st.data())
def test_greedy_choice_is_the_max_min(points, centres, data):
    count = data.draw(st.integers(0, len(points)))
    assert k_centre_greedy(points, centres, count).tolist() == by_brute_force(points, centres.tolist(), count)


@RELAXED
@given(POINTS)
def test_without_labels_it_begins_in_the_middle(points):
    first = k_centre_greedy(points, points[:0], 1)[0]
    distances = np.linalg.norm(points - points.mean(axis=0, dtype=np.float64), axis=1)
    assert distances[first] == pytest.approx(distances.min())


@pytest.mark.parametrize("count", [2, 3, 5])
def test_it_covers_at_most_twice_as_badly_as_the_best_choice(count):
    # Gonzalez, 1985: the greedy radius is at most twice the optimal one, here found by trying all subsets.
    points = np.random.default_rng(0).normal(size=(11, 2)).astype(np.float32)
    between = np.linalg.norm(points[:, None] - points[None], axis=2)

    def radius(chosen) -> float:
        return between[:, list(chosen)].min(axis=1).max()

    best = min(radius(chosen) for chosen in itertools.combinations(range(11), count))
    assert radius(k_centre_greedy(points, points[:0], count)) <= 2 * best + 1e-6


def test_labelled_videos_are_centres_and_what_is_near_them_is_left():
    places = {"a": 0.0, "b": 0.5, "c": 5.0, "d": 5.5, "e": 9.0}
    rows = [score_row(name, 1.0, [place], [0, 1]) for name, place in places.items()]
    videos = [make_video(name) for name in places]
    picks = run_strategy("core_set", {}, make_request(videos, rows, labelled={"a": [5]}, num_videos=2)).picks
    assert list(dict.fromkeys(picks["video_id"].to_pylist())) == ["e", "c"]  # c is 4 from e, d only 3.5
