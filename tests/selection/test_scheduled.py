"""Oracle: either strategy, asked directly."""

import dataclasses

import pytest
from made_up_pools import make_request, make_video, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.selection.strategies import build_strategy, run_strategy

ROWS = [score_row(f"v{index}", index / 10, [float(index)], [0, 1]) for index in range(8)]
REQUEST = make_request([make_video(row["video_id"]) for row in ROWS], ROWS, labelled={"v7": [3, 4]}, num_videos=3)
SECOND = {"first": "random", "then": "uncertainty"}


@pytest.mark.parametrize(("until", "asked"), [(2, "uncertainty"), (3, "random")])
def test_it_turns_when_so_many_frames_are_labelled(until, asked):
    picks = run_strategy("scheduled", SECOND | {"until_frames": until}, REQUEST).picks
    assert picks == run_strategy(asked, {}, REQUEST).picks


@pytest.mark.parametrize(("round_index", "asked"), [(None, "random"), (0, "random"), (1, "random"), (2, "uncertainty")])
def test_it_turns_in_a_round(round_index, asked):
    request = dataclasses.replace(REQUEST, round_index=round_index)
    picks = run_strategy("scheduled", SECOND | {"until_round": 2}, request).picks
    assert picks == run_strategy(asked, {}, request).picks


def test_by_default_it_is_the_curriculum_from_typical_videos_to_claus():
    options = {"until_frames": 3, "then_options": {"clusters": 2}}
    assert run_strategy("scheduled", options, REQUEST).picks == run_strategy("typiclust", {}, REQUEST).picks
    options["until_frames"] = 1
    assert run_strategy("scheduled", options, REQUEST).picks == run_strategy("claus", {"clusters": 2}, REQUEST).picks


def test_it_needs_what_either_needs_and_takes_the_measure_of_the_one_that_has_one():
    built = build_strategy("scheduled", {"first": "random", "then": "bald", "until_round": 1})
    assert (built.needs_scores, built.needs_videos, built.measure) == (True, True, "bald")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "expected one of them to be given"),
        ({"until_frames": 3, "until_round": 1}, "expected one of them to be given"),
        ({"until_frames": "400"}, "options.until_frames: Input should be a valid integer, found '400'"),
        ({"until_round": -1}, "options.until_round: found -1, expected 0 or more"),
        ({"until_frames": 3, "first": "bald", "then": "entropy"}, "expected two that share them"),
        ({"until_frames": 3, "then": "inter_sample"}, "expected two that share them"),
        ({"until_frames": 3, "then": "clause"}, r"selection\.options\.then: no 'clause' .*did you mean 'claus'"),
    ],
)
def test_a_schedule_that_cannot_be_kept_is_refused(options, message):
    with pytest.raises(UserError, match=message):
        build_strategy("scheduled", options)
