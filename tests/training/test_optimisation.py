"""Oracles: rates worked out by hand; Adam's first steps by its equations; the average as a plain loop; float32."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from hybridal_ray.training.optimisation import (
    arithmetic,
    average_weights,
    build_optimiser,
    channels_last,
    learning_rate,
    true_gradients,
)
from hybridal_ray.training.settings import OptimiserSettings


def test_the_rate_rises_over_the_warm_up_and_falls_along_a_cosine() -> None:
    settings = OptimiserSettings(epochs=2, steps_per_epoch=10, learning_rate=0.4, warmup_steps=4)
    rates = [learning_rate(settings, step) for step in range(20)]
    falling = [0.2 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    expected = [min(1.0, (step + 1) / 4) * rate for step, rate in enumerate(falling)]
    assert rates == pytest.approx(expected)
    assert max(rates) == rates[3]
    constant = dataclasses.replace(settings, schedule="constant", warmup_steps=0)
    assert {learning_rate(constant, step) for step in range(20)} == {0.4}


@pytest.mark.parametrize("kind", ["adam", "adamw"])
def test_the_optimiser_is_the_one_asked_for(kind: str) -> None:
    weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    settings = OptimiserSettings(optimiser=kind, betas=(0.5, 0.999), learning_rate=0.1, weight_decay=0.01)
    optimiser = build_optimiser([weight], settings)
    gradients, value, mean, square = [0.3, -0.7, 0.2], 2.0, 0.0, 0.0
    for step, gradient in enumerate(gradients, start=1):
        weight.grad = torch.tensor([gradient], dtype=torch.float64)
        optimiser.step()
        if kind == "adamw":
            value *= 1 - 0.1 * 0.01
        else:
            gradient += 0.01 * value
        mean, square = 0.5 * mean + 0.5 * gradient, 0.999 * square + 0.001 * gradient**2
        value -= 0.1 * (mean / (1 - 0.5**step)) / (math.sqrt(square / (1 - 0.999**step)) + 1e-8)
        assert weight.item() == pytest.approx(value, rel=1e-9)


def test_the_average_of_the_weights_follows_them_slower_the_longer_it_lasts() -> None:
    torch.manual_seed(0)
    layer = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    averaged = average_weights(layer, decay=0.6)
    expected = None
    for count in range(12):
        with torch.no_grad():
            layer[0].weight.add_(torch.randn(1, 2))
            layer[1].running_mean.fill_(count)
        averaged.update_parameters(layer)
        decay = min(0.6, (1 + count) / (10 + count))
        weight = layer[0].weight.detach().clone()
        expected = weight if expected is None else decay * expected + (1 - decay) * weight
        torch.testing.assert_close(averaged.module[0].weight.detach(), expected)
        assert averaged.module[1].running_mean.item() == count
    assert not torch.allclose(expected, layer[0].weight)


def test_another_memory_layout_gives_the_same_function() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv3d(4, 8, 3), nn.Flatten(2), nn.Unflatten(2, (6, 36)), nn.Conv2d(8, 2, 3))
    clips = torch.randn(2, 4, 8, 8, 8)
    before = module(clips)
    module = channels_last(module)
    assert module[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert module[3].weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module(clips.contiguous(memory_format=torch.channels_last_3d)), before)


@pytest.mark.parametrize(("by_itself", "expected"), [(False, torch.float16), (True, torch.bfloat16)])
def test_a_gpu_that_can_only_emulate_bfloat16_computes_in_float16(monkeypatch, by_itself: bool, expected) -> None:
    """A T4 says that it supports bfloat16 by emulation, and has no convolutions of it."""
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: by_itself or including_emulation
    )
    assert arithmetic("auto", torch.device("cuda")) is expected


def test_a_cpu_computes_in_float32_unless_told_otherwise() -> None:
    cpu = torch.device("cpu")
    assert [arithmetic(name, cpu) for name in ("auto", "float32", "bfloat16", "float16")] == [
        torch.float32,
        torch.float32,
        torch.bfloat16,
        torch.float16,
    ]


@pytest.mark.parametrize(("before", "after"), [(8, 16), (16, 32)])
def test_weights_of_convolutions_in_time_have_nearly_the_gradient_of_float32(before: int, after: int) -> None:
    torch.manual_seed(0)
    layer, clips = nn.Conv3d(before, after, 3, padding=1), torch.randn(2, before, 2, 8, 8)
    outwards = torch.randn(2, after, 2, 8, 8)
    layer(clips).backward(outwards)
    expected = layer.weight.grad
    for _ in range(3):
        layer.weight.grad = None
        _ = [torch.full((2**16,), float("nan")) for _ in range(3)]  # for what reads memory that it never wrote
        del _
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(clips)
        with true_gradients(layer, torch.bfloat16, torch.device("cpu")):
            output.backward(outwards.to(output.dtype))
        assert (layer.weight.grad - expected).norm() < 0.02 * expected.norm()
    assert torch._C._get_mkldnn_enabled()


def test_other_detectors_are_left_to_the_fast_library() -> None:
    in_time, flat, cpu = nn.Conv3d(1, 1, 3), nn.Conv2d(1, 1, 3), torch.device("cpu")
    for detector, precision in ((in_time, torch.float32), (flat, torch.bfloat16)):
        with true_gradients(detector, precision, cpu):
            assert torch._C._get_mkldnn_enabled()
