"""Oracles: frames worked out by hand, and what a uniform draw must look like."""

from collections import Counter

import pytest
from scipy.stats import chisquare

from hybridal_ray.errors import UserError
from hybridal_ray.selection.frame_rules import FRAME_RULES, frame_rule
from hybridal_ray.selection.rules import OpenVideo

SCORES = {
    "frames": [4, 1, 7],
    "frame_scores": [0.9, 0.8, 0.7],
    "frame_penalties": [0.0, 0.2, 0.3],
    "profile": [0.1, 0.8, 0.85, 0.8, 0.9, 0.85, 0.2, 0.7],
}


def open_video(labelled: tuple[int, ...] = (), num_frames: int = 8, video_id: str = "a") -> OpenVideo:
    return OpenVideo(video_id, num_frames, labelled, SCORES)


def test_scored_frames_come_in_the_order_in_which_scoring_took_them():
    found = frame_rule("scored").choose(open_video((1,)), 2, seed=0)
    assert (found.frames, found.uncertainties, found.penalties) == ([4, 7], [0.9, 0.7], [0.0, 0.3])


def test_uncertain_frames_may_lie_side_by_side():
    found = frame_rule("uncertain").choose(open_video((4,)), 3, seed=0)
    assert (found.frames, found.uncertainties) == ([2, 5, 1], [0.85, 0.85, 0.8])


@pytest.mark.parametrize(
    ("num_frames", "labelled", "count", "frames"),
    [
        (12, (), 3, [2, 6, 10]),
        (10, (), 1, [5]),
        (4, (), 9, [0, 1, 2, 3]),
        (8, (0, 1, 2, 3), 2, [5, 7]),
        (3, (0, 1, 2), 2, []),
    ],
)
def test_equidistant_frames_are_the_middles_of_equal_parts(num_frames, labelled, count, frames):
    assert frame_rule("equidistant").choose(open_video(labelled, num_frames), count, seed=0).frames == frames


def test_random_frames_are_drawn_alike_and_hang_on_seed_and_video():
    rule = frame_rule("random")
    drawn = [tuple(rule.choose(open_video((2,), 5), 2, seed).frames) for seed in range(600)]
    counts = Counter(drawn)
    assert len(counts) == 4 * 3  # ordered pairs of the four free frames
    assert chisquare(list(counts.values())).pvalue > 0.01
    assert drawn[7] == tuple(rule.choose(open_video((2,), 5), 2, 7).frames)
    assert any(rule.choose(open_video(video_id="b"), 3, s) != rule.choose(open_video(), 3, s) for s in range(5))


def test_all_frames_are_the_free_ones_from_the_first_on():
    assert frame_rule("all").choose(open_video((1,), 5), 9, seed=0).frames == [0, 2, 3, 4]
    assert frame_rule("all").whole_videos


@pytest.mark.parametrize("name", sorted(FRAME_RULES))
def test_no_rule_takes_a_labelled_frame(name):
    found = frame_rule(name).choose(open_video((4, 2, 7), 8), 8, seed=3)
    assert found.frames
    assert not {4, 2, 7} & set(found.frames)


def test_a_rule_of_no_such_name_is_told():
    with pytest.raises(UserError, match=r"selection\.options\.frames: .*did you mean 'equidistant'"):
        frame_rule("equidistand")
