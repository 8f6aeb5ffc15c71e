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
        if not self._drops:
            return features
        clips, channels = features.shape[:2]
        mask = self.draw_mask(clips, channels, like=features)
        return features * mask.view(clips, channels, *[1] * (features.dim() - 2))

    def draw_mask(self, clips: int, channels: int, *, like: Tensor) -> Tensor:
        """The mask that `forward` would multiply with; drawn, so a second call gives another one.

        Args:
            clips: N, as many as there are generators.
            channels: C.
            like: Its device and type are the mask's.

        Returns:
            (N, C), 0 or 1 / (1 − rate); 1 throughout where nothing is dropped.
        """
        if not self._drops:
            return like.new_ones(clips, channels)
        if self.generators is None:
            kept = torch.rand(clips, channels, device=like.device) >= self.rate
        else:
            draws = [torch.rand(channels, generator=generator) for generator in self.generators]
            kept = (torch.stack(draws) >= self.rate).to(like.device)
        return kept.to(like.dtype).div_(1.0 - self.rate)

    @property
    def _drops(self) -> bool:
        return self.rate > 0.0 and (self.training or self.generators is not None)


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
