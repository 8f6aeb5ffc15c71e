"""A convolution to one channel, done on CPUs as one product of matrices and an overlapping sum."""

import torch.nn.functional as F
from torch import Tensor, nn


class SingleMapConvolution(nn.Conv2d):
    """A 3 × 3 convolution to a single map, padded by 1; its parameters are those of `nn.Conv2d`.

    CPU kernels for convolutions work on many output channels at a time and idle with one: 16 channels of 112 × 112
    take them seven times as long as the product of the nine taps with all pixels, followed by the sum of the nine
    shifted products.

    Args:
        channels: Of the features.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(channels, 1, kernel_size=3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, channels, h, w) to (N, 1, h, w)."""
        if features.device.type != "cpu":
            return super().forward(features)
        taps = self.weight.flip(2, 3).view(self.in_channels, 9).T  # the sum scatters where a convolution gathers
        smoothed = F.fold(taps @ features.flatten(2), features.shape[2:], kernel_size=3, padding=1)
        return smoothed if self.bias is None else smoothed + self.bias
