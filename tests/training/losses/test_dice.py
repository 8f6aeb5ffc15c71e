"""Oracles: the sum as a Python loop in double precision, finite differences, and maps right or wrong by hand."""

import math

import pytest
import torch
from made_up_maps import loop_over_clips, made_up

from hybridal_ray.training.losses.dice import weighted_dice


def dice_of_clip(pixels) -> float:
    common, either = 0.0, 0.0
    for logit, actor, weight in pixels:
        probability = 1 / (1 + math.exp(-logit))
        common += weight * probability * actor
        either += weight * probability + weight * actor
    return 1 - (2 * common + 1) / (either + 1)


def test_the_loss_is_the_sum_of_its_equation() -> None:
    for seed in range(3):
        arguments = made_up(seed)
        assert weighted_dice(*arguments).item() == pytest.approx(loop_over_clips(dice_of_clip, *arguments), abs=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    logits, foreground, weights = made_up()
    assert torch.autograd.gradcheck(lambda x: weighted_dice(x, foreground, weights), logits.requires_grad_())


def test_a_clip_of_zero_weight_adds_nothing_and_is_no_nan() -> None:
    logits, foreground, weights = made_up()
    logits[1, 0, 0, 0] = 1e4  # however wrong it is
    logits.requires_grad_()
    value = weighted_dice(logits, foreground, weights)
    value.backward()
    assert (logits.grad[1] == 0).all()
    assert torch.isfinite(logits.grad).all()
    without = weighted_dice(logits[[0, 2]], foreground[[0, 2]], weights[[0, 2]])
    assert value.item() == pytest.approx(2 / 3 * without.item())
    assert weighted_dice(logits[1:2], foreground[1:2], weights[1:2]).item() == 0


def test_dice_is_nothing_where_right_and_all_where_wrong() -> None:
    foreground = torch.zeros(1, 2, 40, 40)
    foreground[:, :, :20] = 1
    weights = torch.ones_like(foreground)
    right = 100 * (2 * foreground - 1)
    assert weighted_dice(right, foreground, weights).item() == pytest.approx(0, abs=1e-6)
    assert weighted_dice(-right, foreground, weights).item() == pytest.approx(1, abs=1e-3)
    empty = torch.zeros_like(foreground)
    assert weighted_dice(torch.full_like(empty, -100), empty, weights).item() == pytest.approx(0, abs=1e-6)
