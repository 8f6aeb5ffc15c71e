"""Oracles: sets of what can be bought, and the binomial distribution of what is drawn."""

import dataclasses

import numpy as np
from hypothesis import given
from made_up_pools import RELAXED, make_request, make_video, requests
from scipy.stats import chisquare

from hybridal_ray.selection.random_frames import Random


def pairs(picks) -> list[tuple[str, int]]:
    return list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True))


def test_a_budget_beyond_the_pool_is_full_supervision():
    videos = [make_video("a", 3), make_video("b", 2)]
    picks = Random().select(make_request(videos, num_videos=10, frames_per_video=1000)).picks
    assert sorted(pairs(picks)) == [("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1)]


def test_new_videos_only_unless_revisits_are_asked_for():
    videos = [make_video(name, 4) for name in "abcd"]
    labelled = {"a": [0, 1], "b": [2], "c": []}
    asked = make_request(videos, labelled=labelled, num_videos=2, frames_per_video=9)
    assert sorted(pairs(Random().select(asked).picks)) == [(name, frame) for name in "cd" for frame in range(4)]
    revisiting = dataclasses.replace(asked, revisit_fraction=1.0)
    free = [("a", 2), ("a", 3), ("b", 0), ("b", 1), ("b", 3)]
    assert sorted(pairs(Random().select(revisiting).picks)) == free


def test_videos_and_frames_are_drawn_uniformly():
    videos = [make_video(name, 5) for name in "abcd"]
    counts = np.zeros((4, 5), dtype=int)
    for seed in range(600):
        asked = make_request(videos, labelled={"a": ()}, num_videos=2, frames_per_video=2, seed=seed)
        for video_id, frame in pairs(Random().select(asked).picks):
            counts["abcd".index(video_id), frame] += 1
    assert counts.sum() == 600 * 4
    assert chisquare(counts.ravel()).pvalue > 0.001


@RELAXED
@given(requests())
def test_a_random_selection_is_within_budget_and_free_of_answered_frames(request):
    picks = Random().select(request).picks
    bought = pairs(picks)
    num_frames = {video.video_id: video.num_frames for video in request.videos}
    assert len(set(bought)) == len(bought)
    assert all(0 <= frame < num_frames[video_id] for video_id, frame in bought)
    assert all(frame not in request.taken_in(video_id) for video_id, frame in bought)
    if request.max_frames is not None:
        assert len(bought) <= request.max_frames
        return
    free = {name: count - len(request.taken_in(name)) for name, count in num_frames.items()}
    counts = {name: sum(video_id == name for video_id, _ in bought) for name in num_frames}
    assert sum(count > 0 for count in counts.values()) == min(
        request.num_videos, sum(count > 0 for count in free.values())
    )
    assert all(counts[name] in (0, min(free[name], request.frames_per_video)) for name in counts)


@RELAXED
@given(requests())
def test_neither_scores_nor_the_order_of_the_videos_matter(request):
    other = dataclasses.replace(request, scores=None, centres=None, videos=request.videos[::-1])
    assert Random().select(request) == Random().select(other)


def test_another_seed_buys_something_else():
    videos = [make_video(f"v{index}", 50) for index in range(50)]
    first, second = (Random().select(make_request(videos, seed=seed)).picks for seed in (0, 1))
    assert first != second
