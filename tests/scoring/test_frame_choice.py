"""Oracle: a greedy loop that recomputes every penalty from nothing at each step, and cases by hand."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.scoring.frame_choice import FrameChoice, choose_frames, video_score

SIGMA, WINDOW = 8 / 3, 4


def greedy(scores, labelled, count, sigma, window) -> list[tuple[int, float]]:
    """(frame, penalty) in the order taken, with sums of `math.exp` over all frames that repel."""
    repelling, taken = list(labelled), []
    while len(taken) < count:
        best = None
        for frame, own in enumerate(scores):
            if frame in repelling:
                continue
            penalty = sum(
                math.exp(-((frame - other) ** 2) / (2 * sigma**2))
                for other in repelling
                if abs(frame - other) <= window
            )
            if best is None or own - penalty > best[0]:
                best = (own - penalty, frame, penalty)
        if best is None:
            break
        repelling.append(best[1])
        taken.append((best[1], best[2]))
    return taken


@st.composite
def problems(draw):
    # Multiples of 1/8 so far apart that rounding of the penalties cannot decide between two frames.
    scores = draw(st.lists(st.integers(0, 40), min_size=1, max_size=40).map(lambda s: np.array(s) / 8))
    labelled = draw(st.sets(st.integers(0, len(scores) - 1)).map(sorted))
    return scores, labelled, draw(st.integers(0, 45)), draw(st.integers(0, 6))


@given(problems())
def test_frames_are_free_distinct_and_as_many_as_there_are(problem) -> None:
    scores, labelled, count, window = problem
    choices = choose_frames(scores, labelled, count, sigma=SIGMA, window=window)
    frames = [choice.frame for choice in choices]
    assert len(set(frames)) == len(frames) == min(count, len(scores) - len(labelled))
    assert not set(frames) & set(labelled)
    assert [choice.score for choice in choices] == [scores[frame] for frame in frames]
    assert choices == choose_frames(scores.copy(), labelled[::-1], count, sigma=SIGMA, window=window)


@given(problems())
def test_first_frames_do_not_depend_on_how_many_follow(problem) -> None:
    scores, labelled, count, window = problem
    all_of_them = choose_frames(scores, labelled, len(scores), sigma=SIGMA, window=window)
    assert choose_frames(scores, labelled, count, sigma=SIGMA, window=window) == all_of_them[:count]


@pytest.mark.parametrize("seed", range(20))
def test_agrees_with_a_loop(seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.random(30) * random.choice([0.1, 1.0, 5.0])
    labelled = sorted(random.choice(30, size=random.integers(0, 8), replace=False).tolist())
    found = choose_frames(scores, labelled, 12, sigma=SIGMA, window=WINDOW)
    expected = greedy(scores, labelled, 12, SIGMA, WINDOW)
    assert [choice.frame for choice in found] == [frame for frame, _ in expected]
    np.testing.assert_allclose([choice.penalty for choice in found], [penalty for _, penalty in expected])


@given(length=st.integers(10, 80), count=st.integers(2, 8))
def test_frames_of_a_flat_profile_keep_apart(length: int, count: int) -> None:
    choices = choose_frames(np.ones(length), [], count, sigma=SIGMA, window=WINDOW)
    fitting = -(-length // (WINDOW + 1))  # picks at 0, 5, 10 … do not touch each other
    frames = sorted(choice.frame for choice in choices[:fitting])
    assert all(after - before > WINDOW for before, after in itertools.pairwise(frames))


@given(problems(), st.integers(0, 45))
def test_by_parts_no_two_frames_share_one(problem, count: int) -> None:
    scores, labelled, _, window = problem
    choices = choose_frames(scores, labelled, count, sigma=SIGMA, window=window, spacing="parts")
    assert len({choice.frame for choice in choices} - set(labelled)) == min(count, len(scores) - len(labelled))
    parts = min(len(labelled) + count, len(scores))
    bounds = [-(-part * len(scores) // parts) for part in range(parts + 1)] if parts else [0]
    for first, end in itertools.pairwise(bounds):
        inside = [choice.frame for choice in choices if first <= choice.frame < end]
        assert len(inside) <= (0 if any(first <= frame < end for frame in labelled) else 1)


def test_by_parts_by_hand() -> None:
    # Two frames, the video unlabelled: the halves are 0 to 2 and 3 to 5, and frame 4 is closed by frame 3.
    scores = np.array([0.2, 0.5, 0.1, 2.0, 1.9, 1.0])
    choices = choose_frames(scores, [], 2, sigma=1.0, window=0, spacing="parts")
    assert choices == [FrameChoice(3, 2.0, 0.0), FrameChoice(1, 0.5, 0.0)]
    # With frame 5 labelled there are three parts of two frames, and the last one is closed.
    assert [c.frame for c in choose_frames(scores, [5], 2, sigma=1.0, window=0, spacing="parts")] == [3, 1]


@given(problems())
def test_parts_of_one_frame_are_no_parts(problem) -> None:
    scores, labelled, _, window = problem
    all_of_them = len(scores) - len(labelled)
    by_parts = choose_frames(scores, labelled, all_of_them, sigma=SIGMA, window=window, spacing="parts")
    assert by_parts == choose_frames(scores, labelled, all_of_them, sigma=SIGMA, window=window)


def test_by_hand() -> None:
    # Frame 3 wins and takes exp(-1/2) from its neighbours at σ = 1; frame 2 falls behind frame 0.
    scores = np.array([1.0, 0.2, 1.5, 2.0])
    choices = choose_frames(scores, [], 3, sigma=1.0, window=1)
    assert choices == [FrameChoice(3, 2.0, 0.0), FrameChoice(0, 1.0, 0.0), FrameChoice(2, 1.5, math.exp(-0.5))]
    assert video_score(choices) == pytest.approx((2.0 + 1.0 + 1.5 - math.exp(-0.5)) / 3)


def test_labelled_frame_repels_but_is_not_taken() -> None:
    scores = np.array([1.0, 5.0, 1.0, 0.9])
    (choice,) = choose_frames(scores, [1], 1, sigma=1.0, window=1)
    assert choice == FrameChoice(3, 0.9, 0.0)


def test_ties_go_to_the_earlier_frame() -> None:
    choices = choose_frames(np.zeros(9), [], 3, sigma=1.0, window=0)
    assert [choice.frame for choice in choices] == [0, 1, 2]


def test_video_labelled_throughout_has_no_score() -> None:
    assert choose_frames(np.ones(2), [0, 1], 3, sigma=1.0, window=1) == []
    assert video_score([]) is None


@pytest.mark.parametrize("labelled", [[-1], [3]])
def test_labelled_frame_outside_the_video_is_refused(labelled: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit a video of 3 frames"):
        choose_frames(np.ones(3), labelled, 1, sigma=1.0, window=1)


def test_score_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        choose_frames(np.array([1.0, np.nan]), [], 1, sigma=1.0, window=1)
