"""Logits, pseudo-labels and weights made up for the tests of the mask losses."""

import torch

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
