"""Doubling, a channel mask and a smoothing convolution to one channel, composed into one linear map for each mask.

A transposed convolution of 3 × 3 × 3 at stride 2 followed by a convolution of 3 × 3 × 3 is a transposed convolution
of 5 × 5 × 5 at stride 2. Where the second has a single output channel, the composed kernel is so small that hardly
any arithmetic is left: for 128 channels a twentieth.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = range(3)  # of either kernel, along each axis
COMPOSED = 5


class SmoothedUpsampling:
    """``smoothing(mask * doubling(features))`` with the kernels composed mask by mask.

    Args:
        doubling: Transposed convolution, C to M channels, that doubles time, height and width: kernel 3, stride 2,
            padding 1, output padding 1.
        smoothing: Convolution, M channels to one, kernel 3, padding 1.
    """

    def __init__(self, doubling: nn.ConvTranspose3d, smoothing: nn.Conv3d) -> None:
        self._doubling, self._smoothing = doubling, smoothing

    def compose(self, masks: Tensor) -> Tensor:
        """The composed kernels.

        Along an axis, tap k of the doubling leads from place i to 2i + k − 1, and tap d of the smoothing from p to
        p − d + 1; together they lead to 2i + j − 2 with j = k − d + 2. At the first place, i = 0, the pair k = 0,
        d = 0 leads over place −1, where the smoothing sees a zero: there it is left out. (At the far border no pair
        leads out and in again.) So there are two kernels an axis, for the first place and for all others.

        Args:
            masks: (N, M), what the channels between the two are multiplied by.

        Returns:
            (2, 2, 2, N, 125, C): whether time, row and column are the first; the composed taps, j of time slowest.
        """
        weight, smoothing = self._doubling.weight, self._smoothing.weight[0]  # (C, M, 3, 3, 3), (M, 3, 3, 3)
        masked = masks.unsqueeze(-1) * smoothing.flatten(1)  # (N, M, 27)
        pairs = torch.einsum("cmk,nmd->dnkc", weight.flatten(2), masked).unflatten(2, (3, 3, 3))
        kernels = weight.new_zeros(2, 2, 2, len(masks), COMPOSED, COMPOSED, COMPOSED, len(weight))
        for pair, (dt, dy, dx) in zip(pairs, itertools.product(TAPS, repeat=3), strict=True):
            for first in itertools.product((0, 1), repeat=3):
                # The taps k that stay in: all but tap 0 where this is the first place and d is 0.
                t, y, x = (int(f and d == 0) for f, d in zip(first, (dt, dy, dx), strict=True))
                kernels[first][:, 2 - dt + t : 5 - dt, 2 - dy + y : 5 - dy, 2 - dx + x : 5 - dx] += pair[:, t:, y:, x:]
        return kernels.flatten(4, 6)

    def __call__(self, features: Tensor, kernels: Tensor, masks: Tensor) -> Tensor:
        """Applies them.

        Args:
            features: (N, C, t, h, w).
            kernels: From `compose`, of the same masks.
            masks: (N, M).

        Returns:
            (N, 2t, 2h, 2w), equal to ``smoothing(masks * doubling(features)).squeeze(1)`` up to rounding.
        """
        clips, _, moments, height, width = features.shape
        doubled = 2 * height, 2 * width
        smoothed = features.new_zeros(clips, 2 * moments + 3, *doubled)  # frames −2 … 2t
        for i in range(moments):
            products = _products(kernels[int(i == 0)], features[:, :, i])
            taps = F.fold(products.flatten(2).view(-1, COMPOSED**2, height * width), doubled, COMPOSED, 1, 2, 2)
            smoothed[:, 2 * i : 2 * i + COMPOSED] += taps.view(clips, COMPOSED, *doubled)
        return smoothed[:, 2:-1] + self._constant(masks, (2 * moments, *doubled))

    def _constant(self, masks: Tensor, size: tuple[int, int, int]) -> Tensor:
        """What the biases come to, (N, t, h, w): the same everywhere but at the border, where taps see zeros."""
        smoothing = self._smoothing.weight.new_zeros(1) if self._smoothing.bias is None else self._smoothing.bias
        if self._doubling.bias is None:
            return smoothing
        kernels = torch.einsum("nm,mtyx->ntyx", masks * self._doubling.bias, self._smoothing.weight[0])
        ends = F.conv3d(kernels.new_ones(1, 1, 3, 3, 3), kernels.unsqueeze(1), padding=1)[0]  # first, inner, last
        for axis, length in enumerate(size, start=1):
            places = torch.ones(length, dtype=torch.long, device=masks.device)
            places[0], places[-1] = 0, 2
            ends = ends.index_select(axis, places)
        return ends + smoothing


def _products(kernels: Tensor, features: Tensor) -> Tensor:
    """What each composed tap makes of each place: (2, 2, N, 125, C) and (N, C, h, w) to (N, 125, h, w)."""
    products = (kernels[0, 0] @ features.flatten(2)).unflatten(2, features.shape[2:])
    products[..., 0, :] = kernels[1, 0] @ features[..., 0, :]
    products[..., :, 0] = kernels[0, 1] @ features[..., :, 0]
    products[..., 0, 0] = (kernels[1, 1] @ features[..., 0, 0, None]).squeeze(-1)
    return products
