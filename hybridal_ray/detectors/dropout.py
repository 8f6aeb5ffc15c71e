"""Dropout whose masks can be asked for by seed, clip by clip, whatever the batch they are drawn in."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class ChannelDropout(nn.Module):
    """Drops whole channels of a clip: one mask over all its frames and pixels, as Dropout3d does.

    While training it draws from torch's own generator. Inside `seeded_dropout` it draws each clip's mask from
    that clip's generator, so that the mask depends neither on the batch nor on the process. Otherwise it is the
    identity.

    Attributes:
        rate: Probability that a channel is dropped, in [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate
        self.generators: Sequence[torch.Generator] | None = None

    def forward(self, features: Tensor) -> Tensor:
        """Multiplies channels by 0 or by 1 / (1 − rate).

        Args:
            features: (N, C, …), the clips first.

        Returns:
            The same shape.
        """
        if self.rate == 0.0 or not (self.training or self.generators is not None):
            return features
        clips, channels = features.shape[:2]
        if self.generators is None:
            kept = torch.rand(clips, channels, device=features.device) >= self.rate
        else:
            draws = [torch.rand(channels, generator=generator) for generator in self.generators]
            kept = (torch.stack(draws) >= self.rate).to(features.device)
        mask = kept.to(features.dtype).div_(1.0 - self.rate)
        return features * mask.view(clips, channels, *[1] * (features.dim() - 2))


@contextmanager
def seeded_dropout(module: nn.Module, generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Makes every `ChannelDropout` of a module draw clip n's masks from ``generators[n]``.

    Args:
        module: A detector; stays in evaluation mode.
        generators: One CPU generator a clip of the batch that will be decoded.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, ChannelDropout)]
    for layer in layers:
        layer.generators = generators
    try:
        yield
    finally:
        for layer in layers:
            layer.generators = None
