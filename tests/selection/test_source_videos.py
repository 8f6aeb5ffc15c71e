"""Oracles: numbers of videos of each source counted one by one, and picks written out by hand."""

import dataclasses
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED, make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import build_strategy, run_strategy

RANDOM = {"inside": "random", "frames": "random"}


def video_of(source: str, number: int) -> Video:
    return dataclasses.replace(make_video(f"{source}{number}"), group=source)


def request_of(sizes: dict[str, int], scores: dict[str, float], **changes: object) -> SelectionRequest:
    videos = [video_of(source, number) for source, size in sizes.items() for number in range(size)]
    rows = [score_row(video.video_id, scores.get(video.video_id, 0.0), [0.0], [5, 6]) for video in videos]
    return make_request(videos, rows, frames_per_video=1, **changes)


def test_sources_take_turns_and_the_most_uncertain_video_goes_first():
    scores = {"a0": 1.0, "a1": 9.0, "a2": 8.0, "b0": 2.0, "b1": 3.0, "c0": 7.0}
    request = request_of({"a": 3, "b": 2, "c": 1}, scores, labelled={"a0": [3]}, num_videos=4)
    picks = run_strategy("sources", {}, request).picks
    # b and c have none yet, and c0 ranks higher; then a has one, as both of these do, and a1 is the most uncertain.
    assert picks["video_id"].to_pylist() == ["c0", "b1", "a1", "b0"]
    assert picks["frame"].to_pylist() == [5, 5, 5, 5]


def test_labelled_videos_of_which_no_score_is_there_count_too():
    """As where a part of the pool was scored: of source a three are labelled, none of them in that part."""
    request = request_of({"a": 4, "b": 2}, {"a3": 9.0}, labelled={"a0": [3], "a1": [3], "a2": [3]}, num_videos=1)
    part = request.scores.table.filter([name in ("a3", "b0") for name in request.scores.table["video_id"].to_pylist()])
    picks = run_strategy("sources", {}, dataclasses.replace(request, scores=ScoreTable(part))).picks
    assert picks["video_id"].to_pylist() == ["b0"]


@RELAXED
@given(
    st.lists(st.integers(1, 6), min_size=1, max_size=6),
    st.integers(0, 25),
    st.lists(st.integers(0, 35), max_size=8),
    st.sampled_from([{}, RANDOM]),
    st.integers(0, 3),
)
def test_no_source_lags_behind_another_that_could_have_waited(sizes, count, labelled, options, seed):
    request = request_of({"abcdef"[place]: size for place, size in enumerate(sizes)}, {})
    ids = [video.video_id for video in request.videos]
    held = {ids[place] for place in labelled if place < len(ids)}
    request = dataclasses.replace(request, labelled={name: [0] for name in held}, num_videos=count, seed=seed)
    bought = set(run_strategy("sources", options, request).picks["video_id"].to_pylist())
    new = bought - held  # where all are labelled, a round goes on with videos that are labelled in part
    assert len(new) == min(count, len(ids) - len(held))
    total, of_source = Counter(name[0] for name in held | bought), Counter(name[0] for name in ids)
    for poor in of_source:
        for rich in {name[0] for name in new}:
            if total[poor] < of_source[poor]:  # it had a video left
                assert total[rich] <= total[poor] + 1


def test_inside_a_source_chance_draws_without_a_scoring_pass():
    strategy = build_strategy("sources", RANDOM)
    assert not strategy.needs_scores
    assert strategy.needs_videos
    drawn = set()
    for seed in range(20):
        request = dataclasses.replace(request_of({"a": 4, "b": 4}, {}, num_videos=2, seed=seed), scores=None)
        drawn.add(frozenset(run_strategy("sources", RANDOM, request).picks["video_id"].to_pylist()))
    assert all({name[0] for name in names} == {"a", "b"} for names in drawn)
    assert len(drawn) > 6  # of 16


def test_an_unknown_choice_is_named():
    with pytest.raises(UserError, match=r"selection\.options\.inside: .*'random', found 'chance'"):
        build_strategy("sources", {"inside": "chance"})
