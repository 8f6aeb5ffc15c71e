"""Oracles: the sum as a Python loop in double precision, finite differences, and torch's own mean of the loss."""

import math

import pytest
import torch
import torch.nn.functional as F
from made_up_maps import SHAPE, loop_over_clips, made_up

from hybridal_ray.training.losses.bce import weighted_bce


def bce_of_clip(pixels) -> float:
    total = sum(weight for _, _, weight in pixels)
    if total == 0:
        return 0.0
    loss = 0.0
    for logit, actor, weight in pixels:
        probability = 1 / (1 + math.exp(-logit))
        loss -= weight * (actor * math.log(probability) + (1 - actor) * math.log(1 - probability))
    return loss / total


def test_the_loss_is_the_sum_of_its_equation() -> None:
    for seed in range(3):
        arguments = made_up(seed)
        assert weighted_bce(*arguments).item() == pytest.approx(loop_over_clips(bce_of_clip, *arguments), abs=1e-12)


def test_gradients_are_those_of_finite_differences() -> None:
    logits, foreground, weights = made_up()
    assert torch.autograd.gradcheck(lambda x: weighted_bce(x, foreground, weights), logits.requires_grad_())


def test_a_clip_of_zero_weight_adds_nothing_and_is_no_nan() -> None:
    logits, foreground, weights = made_up()
    logits[1, 0, 0, 0] = 1e4  # however wrong it is
    logits.requires_grad_()
    value = weighted_bce(logits, foreground, weights)
    value.backward()
    assert (logits.grad[1] == 0).all()
    assert torch.isfinite(logits.grad).all()
    without = weighted_bce(logits[[0, 2]], foreground[[0, 2]], weights[[0, 2]])
    assert value.item() == pytest.approx(2 / 3 * without.item())
    assert weighted_bce(logits[1:2], foreground[1:2], weights[1:2]).item() == 0


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
