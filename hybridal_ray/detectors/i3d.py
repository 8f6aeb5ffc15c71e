"""Inflated Inception, the video encoder of the paper's detector, up to any of its endpoints.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017. Modules
are named as in the PyTorch port whose weights circulate (``Conv3d_1a_7x7.conv3d.weight``, ``Mixed_3b.b1a.bn.bias``),
so that those files fit as they are; see `detectors.pretrained`.
"""

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Triple = tuple[int, int, int]  # time, height, width

# Branch widths b0, b1a, b1b, b2a, b2b, b3b of every inception block (table 1 of the Inception-v1 paper).
_BRANCHES: dict[str, tuple[int, int, int, int, int, int]] = {
    "Mixed_3b": (64, 96, 128, 16, 32, 32),
    "Mixed_3c": (128, 128, 192, 32, 96, 64),
    "Mixed_4b": (192, 96, 208, 16, 48, 64),
    "Mixed_4c": (160, 112, 224, 24, 64, 64),
    "Mixed_4d": (128, 128, 256, 24, 64, 64),
    "Mixed_4e": (112, 144, 288, 32, 64, 64),
    "Mixed_4f": (256, 160, 320, 32, 128, 128),
    "Mixed_5b": (256, 160, 320, 32, 128, 128),
    "Mixed_5c": (384, 192, 384, 48, 128, 128),
}
# Output channels and kernel; the first has stride 2, the others 1.
_CONVOLUTIONS: dict[str, tuple[int, int]] = {
    "Conv3d_1a_7x7": (64, 7),
    "Conv3d_2b_1x1": (64, 1),
    "Conv3d_2c_3x3": (192, 3),
}
_POOL_KERNELS: dict[str, Triple] = {
    "MaxPool3d_2a_3x3": (1, 3, 3),
    "MaxPool3d_3a_3x3": (1, 3, 3),
    "MaxPool3d_4a_3x3": (3, 3, 3),
    "MaxPool3d_5a_2x2": (2, 2, 2),
}
STANDARD_STRIDES: Mapping[str, Triple] = MappingProxyType(
    {
        "MaxPool3d_2a_3x3": (1, 2, 2),
        "MaxPool3d_3a_3x3": (1, 2, 2),
        "MaxPool3d_4a_3x3": (2, 2, 2),
        "MaxPool3d_5a_2x2": (2, 2, 2),
    }
)
END_POINTS = (
    *("Conv3d_1a_7x7", "MaxPool3d_2a_3x3", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "MaxPool3d_3a_3x3"),
    *("Mixed_3b", "Mixed_3c", "MaxPool3d_4a_3x3"),
    *("Mixed_4b", "Mixed_4c", "Mixed_4d", "Mixed_4e", "Mixed_4f", "MaxPool3d_5a_2x2", "Mixed_5b", "Mixed_5c"),
)

BN_EPSILON = 0.001
# The port's 0.01 was set for weeks of training: its running statistics need some 300 steps to forget the fresh
# weights, which is most of a training on a round's few labels.
BN_MOMENTUM = 0.1


class I3D(nn.Module):
    """The network from the clip to an endpoint.

    Args:
        end_point: The last layer that is built, one of `END_POINTS`.
        width: Factor on all channel counts, rounded to multiples of 4; 1 is the published network.
        strides: Stride of each max-pool in time, height and width; of those not named, the standard one.
        taps: Endpoints that `forward` returns; by default the last one alone.

    Attributes:
        taps: As given.

    Raises:
        ValueError: An endpoint or max-pool is unknown, a tap lies beyond the end, or the width is not positive.

    Example:
        >>> encoder = I3D("Mixed_3c", width=0.25, taps=("Conv3d_1a_7x7", "Mixed_3c")).eval()
        >>> [tuple(features.shape) for features in encoder(torch.zeros(1, 3, 8, 64, 64))]
        [(1, 16, 4, 32, 32), (1, 120, 4, 8, 8)]
    """

    def __init__(
        self,
        end_point: str = "Mixed_4f",
        width: float = 1.0,
        strides: Mapping[str, Triple] = STANDARD_STRIDES,
        taps: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if end_point not in END_POINTS:
            raise ValueError(f"end_point is {end_point!r}, expected one of {', '.join(END_POINTS)}")
        if not width > 0:
            raise ValueError(f"width is {width}, expected a factor above 0")
        if unknown := sorted(set(strides) - set(STANDARD_STRIDES)):
            raise ValueError(f"strides name {unknown}, expected max-pools: {', '.join(STANDARD_STRIDES)}")
        self._layers = END_POINTS[: END_POINTS.index(end_point) + 1]
        self.taps = (end_point,) if taps is None else tuple(taps)
        if beyond := sorted(set(self.taps) - set(self._layers)):
            raise ValueError(f"taps name {beyond}, expected endpoints up to {end_point}")
        self._channels: dict[str, int] = {}
        channels = 3
        for name in self._layers:
            stride = strides.get(name, STANDARD_STRIDES.get(name))
            layer, channels = _build_layer(name, channels, width, stride)
            self.add_module(name, layer)
            self._channels[name] = channels

    def channels_of(self, end_point: str) -> int:
        """Channels of an endpoint at this network's width; KeyError when it is not built."""
        return self._channels[end_point]

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Runs the layers up to the endpoint.

        Args:
            clips: (N, 3, T, H, W), RGB in [-1, 1], of any length and size.

        Returns:
            The features (N, channels_of(tap), t, h, w) of each tap, in the order of `taps`. A layer of stride s
            makes ⌈size / s⌉ of its input's size.
        """
        features = clips
        tapped: dict[str, Tensor] = {}
        for name in self._layers:
            features = self.get_submodule(name)(features)
            if name in self.taps:
                tapped[name] = features
        return tuple(tapped[name] for name in self.taps)


class ConvNorm(nn.Module):
    """Convolution with TensorFlow's "same" padding, batch normalisation, ReLU."""

    def __init__(self, before: int, after: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self._kernel, self._stride = (kernel,) * 3, (stride,) * 3
        # At stride 1 an odd kernel pads alike on both sides, which the convolution does without a copy.
        self._pads_alike = stride == 1
        padding = kernel // 2 if self._pads_alike else 0
        self.conv3d = nn.Conv3d(before, after, kernel, stride=stride, padding=padding, bias=False)
        self.bn = nn.BatchNorm3d(after, eps=BN_EPSILON, momentum=BN_MOMENTUM)

    def forward(self, features: Tensor) -> Tensor:
        """(N, before, t, h, w) to (N, after, ⌈t / stride⌉, ⌈h / stride⌉, ⌈w / stride⌉)."""
        padded = features if self._pads_alike else pad_same(features, self._kernel, self._stride)
        return F.relu(self.bn(self.conv3d(padded)), inplace=True)


class SameMaxPool(nn.Module):
    """Max-pool with TensorFlow's "same" padding, by zeros: what it pools comes out of a ReLU."""

    def __init__(self, kernel: Triple, stride: Triple) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, t, h, w) to (N, C, ⌈t / s_t⌉, ⌈h / s_h⌉, ⌈w / s_w⌉)."""
        padded = pad_same(features, self._kernel, self._stride)
        if padded.device.type == "cpu":  # which pools channels that lie side by side ten times as fast
            padded = padded.contiguous(memory_format=torch.channels_last_3d)
        return F.max_pool3d(padded, self._kernel, self._stride).contiguous()


class Inception(nn.Module):
    """Four branches over the same features, side by side: 1³, 1³–3³, 1³–3³, pool–1³."""

    def __init__(self, before: int, branches: Sequence[int]) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3b = branches
        self.b0 = ConvNorm(before, b0, 1)
        self.b1a = ConvNorm(before, b1a, 1)
        self.b1b = ConvNorm(b1a, b1b, 3)
        self.b2a = ConvNorm(before, b2a, 1)
        self.b2b = ConvNorm(b2a, b2b, 3)
        self.b3a = SameMaxPool((3, 3, 3), (1, 1, 1))
        self.b3b = ConvNorm(before, b3b, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, before, t, h, w) to (N, b0 + b1b + b2b + b3b, t, h, w)."""
        branches = [
            self.b0(features),
            self.b1b(self.b1a(features)),
            self.b2b(self.b2a(features)),
            self.b3b(self.b3a(features)),
        ]
        return torch.cat(branches, dim=1)


def scaled(channels: int, width: float) -> int:
    """Channels times width, rounded to a multiple of 4, at least 4."""
    return max(4, round(channels * width / 4) * 4)


def pad_same(features: Tensor, kernel: Triple, stride: Triple) -> Tensor:
    """Pads with zeros so that a window of that kernel and stride makes ⌈size / stride⌉ of a size.

    Args:
        features: (N, C, t, h, w).
        kernel: Of the window that will slide over them.
        stride: Of the window.

    Returns:
        (N, C, t + p_t, h + p_h, w + p_w). Where a sum p is odd, the far side gets the larger half.
    """
    sums = [
        max((-(-size // step) - 1) * step + window - size, 0)
        for size, window, step in zip(features.shape[2:], kernel, stride, strict=True)
    ]
    if not any(sums):
        return features
    sides = [(total // 2, total - total // 2) for total in reversed(sums)]  # F.pad begins at the last axis
    return F.pad(features, list(itertools.chain.from_iterable(sides)))


def _build_layer(name: str, before: int, width: float, stride: Triple | None) -> tuple[nn.Module, int]:
    """The layer of that name, and the channels that leave it."""
    if name in _CONVOLUTIONS:
        channels, kernel = _CONVOLUTIONS[name]
        after = scaled(channels, width)
        return ConvNorm(before, after, kernel, stride=2 if name == "Conv3d_1a_7x7" else 1), after
    if stride is not None:
        return SameMaxPool(_POOL_KERNELS[name], stride), before
    branches = [scaled(channels, width) for channels in _BRANCHES[name]]
    b0, _, b1b, _, b2b, b3b = branches
    return Inception(before, branches), b0 + b1b + b2b + b3b
