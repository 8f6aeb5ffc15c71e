"""Oracles: the sums as Python loops in double precision, finite differences, and torch's own mean of the loss."""

import math

import pytest
import torch
import torch.nn.functional as F

from hybridal_ray.training.losses.mask import weighted_bce, weighted_dice

SHAPE = (3, 2, 2, 3)


def made_up(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, foreground and weights; the second clip weighs nothing."""
    generator = torch.Generator().manual_seed(seed)
    logits = 4 * torch.randn(SHAPE, generator=generator, dtype=torch.float64)
    foreground = (torch.rand(SHAPE, generator=generator) < 0.4).double()
    weights = torch.rand(SHAPE, generator=generator, dtype=torch.float64)
    weights[1] = 0
    return logits, foreground, weights


def loop_over_clips(loss_of_clip, logits, foreground, weights) -> float:
    clips = zip(logits.flatten(1).tolist(), foreground.flatten(1).tolist(), weights.flatten(1).tolist(), strict=True)
    return sum(loss_of_clip(list(zip(*clip, strict=True))) for clip in clips) / len(logits)


def bce_of_clip(pixels) -> float:
    total = sum(weight for _, _, weight in pixels)
    if total == 0:
        return 0.0
    loss = 0.0
    for logit, actor, weight in pixels:
        probability = 1 / (1 + math.exp(-logit))
        loss -= weight * (actor * math.log(probability) + (1 - actor) * math.log(1 - probability))
    return loss / total


def dice_of_clip(pixels) -> float:
    common, either = 0.0, 0.0
    for logit, actor, weight in pixels:
        probability = 1 / (1 + math.exp(-logit))
        common += weight * probability * actor
        either += weight * probability + weight * actor
    return 1 - (2 * common + 1) / (either + 1)


@pytest.mark.parametrize(("loss", "of_clip"), [(weighted_bce, bce_of_clip), (weighted_dice, dice_of_clip)])
def test_losses_are_the_sums_of_their_equations(loss, of_clip) -> None:
    for seed in range(3):
        arguments = made_up(seed)
        assert loss(*arguments).item() == pytest.approx(loop_over_clips(of_clip, *arguments), abs=1e-12)


@pytest.mark.parametrize("loss", [weighted_bce, weighted_dice])
def test_gradients_are_those_of_finite_differences(loss) -> None:
    logits, foreground, weights = made_up()
    assert torch.autograd.gradcheck(lambda x: loss(x, foreground, weights), logits.requires_grad_())


@pytest.mark.parametrize("loss", [weighted_bce, weighted_dice])
def test_a_clip_of_zero_weight_adds_nothing_and_is_no_nan(loss) -> None:
    logits, foreground, weights = made_up()
    logits[1, 0, 0, 0] = 1e4  # however wrong it is
    logits.requires_grad_()
    value = loss(logits, foreground, weights)
    value.backward()
    assert (logits.grad[1] == 0).all()
    assert torch.isfinite(logits.grad).all()
    without = loss(logits[[0, 2]], foreground[[0, 2]], weights[[0, 2]])
    assert value.item() == pytest.approx(2 / 3 * without.item())
    assert loss(logits[1:2], foreground[1:2], weights[1:2]).item() == 0


def test_even_weights_of_any_size_give_the_plain_mean() -> None:
    logits, foreground, _ = made_up()
    plain = F.binary_cross_entropy_with_logits(logits, foreground)
    for weight in (1.0, 0.01):
        found = weighted_bce(logits, foreground, torch.full(SHAPE, weight, dtype=torch.float64))
        assert found.item() == pytest.approx(plain.item())


def test_weights_multiply_the_loss_and_not_the_logits() -> None:
    # One certain mistake among weights that halve: with weighted logits its loss would grow by log-odds, not in share.
    logits = torch.tensor([20.0, 0.0]).view(1, 1, 1, 2)
    foreground = torch.zeros(1, 1, 1, 2)
    weights = torch.tensor([0.5, 1.0]).view(1, 1, 1, 2)
    expected = (0.5 * 20 + math.log(2)) / 1.5
    assert weighted_bce(logits, foreground, weights).item() == pytest.approx(expected, abs=1e-5)


def test_dice_is_nothing_where_right_and_all_where_wrong() -> None:
    foreground = torch.zeros(1, 2, 40, 40)
    foreground[:, :, :20] = 1
    weights = torch.ones_like(foreground)
    right = 100 * (2 * foreground - 1)
    assert weighted_dice(right, foreground, weights).item() == pytest.approx(0, abs=1e-6)
    assert weighted_dice(-right, foreground, weights).item() == pytest.approx(1, abs=1e-3)
    empty = torch.zeros_like(foreground)
    assert weighted_dice(torch.full_like(empty, -100), empty, weights).item() == pytest.approx(0, abs=1e-6)
