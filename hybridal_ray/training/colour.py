"""Colour augmentation: every clip in other colours and light, all its frames alike.

Clothes and backdrops are the same in all clips of a source; a detector that may rely on them knows the source and
not the action.
"""

import torch
from torch import Tensor


def jitter_colours(clips: Tensor, strength: float) -> Tensor:
    """Changes brightness, contrast and the balance of the channels, and shuffles the channels of half of the clips.

    Args:
        clips: (N, 3, T, H, W), in [-1, 1].
        strength: 0 leaves the clips as they are; 1 scales channels by up to e^±0.5 and shifts them by up to ±0.5.
            Draws come from torch's own generator.

    Returns:
        The same shape, clamped to [-1, 1].
    """
    if strength == 0.0:
        return clips
    shape = (len(clips), 3, 1, 1, 1)
    gain = torch.exp(0.5 * strength * _uniform(shape, clips.device))
    shift = 0.5 * strength * _uniform(shape, clips.device)
    jittered = clips * gain + shift
    for index in torch.nonzero(torch.rand(len(clips)) < 0.5 * strength).flatten().tolist():
        jittered[index] = jittered[index, torch.randperm(3)]
    return jittered.clamp_(-1.0, 1.0)


def _uniform(shape: tuple[int, ...], device: torch.device) -> Tensor:
    """In [-1, 1]; drawn on the CPU, so that the device does not change the draws."""
    return (2.0 * torch.rand(shape) - 1.0).to(device)
