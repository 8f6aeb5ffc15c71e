"""Optimiser, learning rate, precision and memory layout of a training."""

import math
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from hybridal_ray.training.settings import OptimiserSettings


def build_optimiser(parameters: list[nn.Parameter], settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Adam or AdamW over the parameters that are trained."""
    kind = {"adamw": torch.optim.AdamW, "adam": torch.optim.Adam}[settings.optimiser]
    return kind(parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=settings.weight_decay)


def learning_rate(settings: OptimiserSettings, step: int) -> float:
    """The rate of a step: linear warm-up, then constant or a half cosine down to zero at the last step.

    Args:
        settings: Peak, schedule and lengths.
        step: From 0, over all epochs.
    """
    warm = min(1.0, (step + 1) / max(settings.warmup_steps, 1))
    if settings.schedule == "constant":
        return settings.learning_rate * warm
    done = step / (settings.epochs * settings.steps_per_epoch)
    return settings.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(done, 1.0)))


def arithmetic(precision: str, device: torch.device) -> torch.dtype:
    """The number format of the forward pass; see `OptimiserSettings.precision`."""
    if precision != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


@contextmanager
def true_gradients(detector: nn.Module, precision: torch.dtype, device: torch.device) -> Iterator[None]:
    """Surrounds a backward pass, and keeps oneDNN out of it where its gradients are wrong.

    In bfloat16 its gradient of the weights of a three-dimensional convolution over few frames holds memory that was
    never written. The forward pass is right, and so are two-dimensional and transposed convolutions.

    Args:
        detector: That is trained.
        precision: From `arithmetic`.
        device: Of the detector.
    """
    concerned = device.type == "cpu" and precision is torch.bfloat16
    if not (concerned and any(isinstance(module, nn.Conv3d) for module in detector.modules())):
        yield
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="TF32 acceleration on top of oneDNN")  # of Intel's GPUs
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def average_weights(detector: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of a detector's weights, kept by `AveragedModel.update_parameters`.

    Over the first steps the decay is (1 + n) / (10 + n), so that a short training's average is not mostly its fresh
    weights. Statistics of normalisation layers are those of the last step.

    Args:
        detector: Copied, not changed.
        decay: Of the average, in (0, 1).
    """
    return AveragedModel(detector, multi_avg_fn=_moving_average(decay))


def _moving_average(decay: float) -> Callable[..., None]:
    @torch.no_grad()
    def move(averaged: list[Tensor], current: list[Tensor], count: Tensor | int) -> None:
        steps = int(count)
        torch._foreach_lerp_(averaged, current, 1.0 - min(decay, (1 + steps) / (10 + steps)))

    return move


def channels_last(module: nn.Module) -> nn.Module:
    """The same module, the weights of its convolutions laid out with the channels innermost."""
    layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
    for parameter in module.parameters():
        if parameter.dim() in layouts:
            parameter.data = parameter.data.contiguous(memory_format=layouts[parameter.dim()])
    return module
