"""Oracles: scipy's rank correlation, numpy's interpolation by hand, and passes whose ranking is known."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hybridal_ray.detectors.monte_carlo import MonteCarloPasses, Seeds
from hybridal_ray.scoring.shortcuts import (
    Shortcuts,
    interpolate_unseen,
    passes_until_stable,
    rank_correlation,
    ranking_reliability,
)

SEEDS: Seeds = np.arange(10, dtype=np.uint64).reshape(1, 10)


def frame_scores(probabilities: torch.Tensor) -> np.ndarray:
    return probabilities.mean(dim=(0, 2, 3)).numpy()


def passes_that(agree_from: int, asked: list[int]) -> Callable[[Seeds], MonteCarloPasses]:
    """Passes over 6 frames that rank them the same way from the pass of that seed on, and by turns before."""

    def run(seeds: Seeds) -> MonteCarloPasses:
        asked.extend(seeds.ravel().tolist())
        rising = torch.arange(6.0) / 6
        rows = [rising if seed >= agree_from or seed % 2 == 0 else 1 - rising for seed in seeds.ravel().tolist()]
        latents = torch.tensor([[float(seed)] for seed in seeds.ravel()]).mean(dim=0, keepdim=True)
        return MonteCarloPasses(
            torch.stack(rows).view(1, -1, 6, 1, 1), latents, torch.cat([latents, 9 - latents], dim=1) / 9
        )

    return run


def test_passes_that_agree_from_the_start_stop_after_the_first_lot() -> None:
    asked: list[int] = []
    found = passes_until_stable(passes_that(0, asked), SEEDS, frame_scores, reliability=0.99, at_once=4)
    assert asked == [0, 1, 2, 3]
    assert found.mask_probabilities.shape == (1, 4, 6, 1, 1)
    assert found.latents.tolist() == [[1.5]]


def test_passes_that_contradict_each_other_all_run_in_their_order_and_none_twice() -> None:
    asked: list[int] = []
    found = passes_until_stable(passes_that(10, asked), SEEDS, frame_scores, reliability=0.1, at_once=4)
    assert asked == list(range(10))
    assert found.mask_probabilities.shape[1] == 10
    torch.testing.assert_close(found.latents, torch.tensor([[4.5]]))  # the mean over passes, not over lots of them
    torch.testing.assert_close(found.class_probabilities, torch.tensor([[0.5, 0.5]]))  # likewise


def test_it_stops_in_between_as_soon_as_the_halves_agree() -> None:
    asked: list[int] = []
    passes_until_stable(passes_that(4, asked), SEEDS, frame_scores, reliability=0.1, at_once=4)
    assert asked == list(range(8))


@pytest.mark.parametrize(("odd", "expected"), [([1, 2, 3, 4], 1.0), ([1, 2, 4, 3], 2 * 0.8 / 1.8), ([4, 3, 2, 1], 0.0)])
def test_reliability_is_the_halves_correlation_led_up_to_the_whole(odd: list[int], expected: float) -> None:
    even = torch.tensor([1.0, 2.0, 3.0, 4.0])
    probabilities = torch.stack([even, torch.tensor(odd, dtype=torch.float32)] * 2).view(4, 4, 1, 1) / 10
    assert ranking_reliability(probabilities, frame_scores) == pytest.approx(expected)


def test_one_pass_tells_nothing_of_reliability() -> None:
    assert ranking_reliability(torch.rand(1, 4, 2, 2), frame_scores) == 0.0


def test_unseen_frames_lie_between_the_nearest_seen() -> None:
    profile = np.array([99.0, 2.0, 99.0, 99.0, 8.0, 99.0])
    seen = np.array([False, True, False, False, True, False])
    assert interpolate_unseen(profile, seen).tolist() == pytest.approx([2, 2, 4, 6, 8, 8])


def test_frames_that_were_seen_keep_their_scores_bit_by_bit() -> None:
    profile = np.random.default_rng(0).random(50)
    assert np.array_equal(interpolate_unseen(profile, np.ones(50, dtype=bool)), profile)


def test_rank_correlation_of_scores_that_rank_nothing() -> None:
    flat, rising = np.zeros(4), np.arange(4.0)
    assert rank_correlation(flat, flat + 1) == 1.0
    assert rank_correlation(flat, rising) == rank_correlation(rising, flat) == 0.0
    assert rank_correlation(rising, np.exp(rising)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [({"clip_step": 0}, "clip_step"), ({"passes_at_once": 1}, "passes_at_once"), ({"stable_ranking": 1.5}, "stable_r")],
)
def test_values_out_of_range_are_refused(wrong: dict[str, float], field: str) -> None:
    with pytest.raises(ValueError, match=field):
        Shortcuts(**wrong)
