"""A convolution whose input is masked by whole channels, for many masks at the price of little more than one.

By the convolution theorem a convolution is, frequency by frequency, one product of matrices over the channels, and
the transform of a masked channel is the masked transform. Input and kernel are transformed once; what is left for
each mask is a small product. The input is cut into overlapping tiles, so that the kernel's spectrum stays small
("overlap-save": Oppenheim and Schafer, Discrete-Time Signal Processing, section 8.7).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_TILE = 10  # rows and columns of output that come from one tile
CHANNELS_AT_ONCE = 32  # output channels whose kernels are transformed together; bounds memory


class MaskedConvolution:
    """Applies a convolution to ``features * mask`` for several masks of the same features.

    The kernel's spectrum takes 8·K·C·S·(S/2 + 1) bytes, S = kernel + tile − 1: 650 MB for 832 channels to 544 by a
    9 × 9 kernel. It is computed for the first size of the features, and again when their size changes.

    Args:
        convolution: From C to K channels, with a square kernel, stride 1 and zero padding; copied from, once.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        self._convolution = convolution
        self._kernel, self._padding = convolution.kernel_size[0], int(convolution.padding[0])
        self._spectrum: Tensor | None = None  # (frequencies, K, C)
        self._period = 0

    def __call__(self, features: Tensor, masks: Tensor) -> Tensor:
        """Convolves.

        Args:
            features: (N, C, h, w).
            masks: (N, R, C), what each channel is multiplied by.

        Returns:
            (N·R, K, h', w'), the passes of a clip side by side; equal to
            ``convolution((features[:, None] * masks[..., None, None]).flatten(0, 1))`` up to rounding.
        """
        padded = F.pad(features, [self._padding] * 4).to(self._convolution.weight.dtype)  # half has no transform
        height, width = (size - self._kernel + 1 for size in padded.shape[2:])
        tile = _even_tile(max(height, width))
        tiles = _overlapping_tiles(padded, tile, self._kernel - 1)  # (N, C, down, across, period, period)
        down, across, period = tiles.shape[2:5]
        transformed = torch.fft.rfft2(tiles).flatten(4).flatten(2, 3).permute(3, 1, 0, 2)  # (frequencies, C, N, tiles)
        masked = transformed.unsqueeze(3) * masks.permute(2, 0, 1).unsqueeze(-1)  # (frequencies, C, N, R, tiles)
        products = self._kernel_spectrum(period) @ masked.flatten(2)  # (frequencies, K, N·R·tiles)
        spectra = products.permute(2, 1, 0).unflatten(2, (period, -1))
        convolved = torch.fft.irfft2(spectra, s=(period, period))[..., :tile, :tile]
        convolved = convolved.unflatten(0, (-1, down, across)).permute(0, 3, 1, 4, 2, 5)
        joined = convolved.reshape(len(convolved), -1, down * tile, across * tile)[..., :height, :width]
        bias = self._convolution.bias
        return joined if bias is None else joined + bias.view(-1, 1, 1)

    def _kernel_spectrum(self, period: int) -> Tensor:
        """(frequencies, K, C): conjugated, for what neural networks call convolution is a correlation."""
        if self._spectrum is None or self._period != period:
            weight = self._convolution.weight.detach()
            self._period, self._spectrum = period, None  # the old one goes before the new one comes
            spectrum = torch.empty(
                period * (period // 2 + 1), *weight.shape[:2], dtype=weight.dtype.to_complex(), device=weight.device
            )
            for some, place in zip(
                weight.split(CHANNELS_AT_ONCE), spectrum.split(CHANNELS_AT_ONCE, dim=1), strict=True
            ):
                transformed = torch.fft.rfft2(some, s=(period, period)).conj()
                place.copy_(transformed.flatten(2).permute(2, 0, 1))
            self._spectrum = spectrum
        return self._spectrum


def _even_tile(size: int) -> int:
    """The size of equal tiles, none above the largest, that cover `size` with the least left over."""
    return -(-size // -(-size // LARGEST_TILE))


def _overlapping_tiles(features: Tensor, tile: int, overlap: int) -> Tensor:
    """(N, C, h, w) to (N, C, down, across, tile + overlap, tile + overlap); zeros fill the last ones up."""
    short = [-(size - overlap) % tile for size in features.shape[2:]]
    filled = F.pad(features, [0, short[1], 0, short[0]])
    return filled.unfold(2, tile + overlap, tile).unfold(3, tile + overlap, tile)
