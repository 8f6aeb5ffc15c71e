"""Oracle: for each clip, the one gain, shift and order of channels that explain every pixel of all its frames."""

import itertools
import math

import pytest
import torch

from hybridal_ray.training.colour import jitter_colours


@pytest.fixture
def clips() -> torch.Tensor:
    """Values so small that no jitter reaches the ends of the range, where they would be clamped."""
    return 0.2 * torch.rand(16, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0)) - 0.1


def line_through(before: torch.Tensor, after: torch.Tensor) -> tuple[float, float] | None:
    """Gain and shift that make one channel of another, None where no line does."""
    x, y = before.flatten().double(), after.flatten().double()
    gain = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    shift = y.mean() - gain * x.mean()
    return (gain.item(), shift.item()) if torch.allclose(gain * x + shift, y, atol=1e-6) else None


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_all_frames_and_pixels_of_a_clip_change_alike(clips: torch.Tensor, strength: float) -> None:
    torch.manual_seed(1)
    changed = jitter_colours(clips, strength)
    orders, lines = [], []
    for before, after in zip(clips, changed, strict=True):
        for order in itertools.permutations(range(3)):
            found = [line_through(before[channel], after[place]) for place, channel in enumerate(order)]
            if all(line is not None for line in found):
                orders.append(order)
                lines += found
    assert len(orders) == len(clips)  # each clip has one explanation
    assert len(set(lines)) == 3 * len(clips)  # and none shares its own with another
    assert len(set(orders)) > 1
    gains, shifts = zip(*lines, strict=True)
    assert max(abs(math.log(gain)) for gain in gains) <= 0.5 * strength + 1e-4
    assert max(abs(shift) for shift in shifts) <= 0.5 * strength + 1e-4
    assert max(shifts) > 0.2 * strength
    assert min(shifts) < -0.2 * strength


def test_strength_zero_changes_nothing_and_draws_nothing(clips: torch.Tensor) -> None:
    state = torch.get_rng_state()
    assert torch.equal(jitter_colours(clips, 0.0), clips)
    assert torch.equal(torch.get_rng_state(), state)


def test_results_stay_in_range_follow_the_generator_and_leave_the_clips_alone() -> None:
    clips = torch.rand(8, 3, 2, 4, 4) * 2 - 1
    before = clips.clone()
    torch.manual_seed(2)
    first, second = jitter_colours(clips, 1.0), jitter_colours(clips, 1.0)
    torch.manual_seed(2)
    assert torch.equal(jitter_colours(clips, 1.0), first)
    assert not torch.equal(first, second)
    assert (first.min(), first.max()) == (-1, 1)
    assert torch.equal(clips, before)
