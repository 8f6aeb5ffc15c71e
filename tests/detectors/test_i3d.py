"""Oracles: the port's list of keys, published parameter counts, and windows slid over a padded array by loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from hybridal_ray.detectors.i3d import END_POINTS, I3D, ConvNorm, SameMaxPool, scaled

CAPSULE_STRIDES = {"MaxPool3d_2a_3x3": (2, 2, 2), "MaxPool3d_4a_3x3": (2, 1, 1)}


def same_windows(size: int, kernel: int, stride: int) -> list[list[int]]:
    """Input places under each window of TensorFlow's "same" padding, one axis; places outside are left out."""
    outputs = math.ceil(size / stride)
    missing = max((outputs - 1) * stride + kernel - size, 0)
    starts = [i * stride - missing // 2 for i in range(outputs)]
    return [list(range(start, start + kernel)) for start in starts]


def padded_at(array: np.ndarray, places: tuple[int, ...]) -> float:
    inside = all(0 <= place < size for place, size in zip(places, array.shape, strict=True))
    return float(array[places]) if inside else 0.0


@pytest.mark.parametrize("size", [(4, 6, 5), (5, 7, 8), (1, 2, 3)])
@pytest.mark.parametrize(("kernel", "stride"), [((1, 3, 3), (2, 2, 2)), ((3, 3, 3), (2, 1, 1)), ((2, 2, 2), (2, 2, 2))])
def test_max_pool_pads_as_tensorflow_does(
    size: tuple[int, int, int], kernel: tuple[int, int, int], stride: tuple[int, int, int]
) -> None:
    features = torch.randn(size, generator=torch.Generator().manual_seed(1))
    windows = [same_windows(*axis) for axis in zip(size, kernel, stride, strict=True)]
    expected = [
        max(padded_at(features.numpy(), places) for places in itertools.product(*at))
        for at in itertools.product(*windows)
    ]
    pooled = SameMaxPool(kernel, stride)(features[None, None])
    assert pooled.shape[2:] == tuple(len(axis) for axis in windows)
    np.testing.assert_allclose(pooled.flatten().numpy(), expected)


@pytest.mark.parametrize("size", [(4, 6, 5), (3, 9, 2)])
@pytest.mark.parametrize(("kernel", "stride"), [(7, 2), (3, 1), (1, 1)])
def test_convolution_pads_as_tensorflow_does(size: tuple[int, int, int], kernel: int, stride: int) -> None:
    torch.manual_seed(0)
    layer = ConvNorm(1, 1, kernel, stride).eval()
    features = torch.randn(size)
    weight = layer.conv3d.weight.detach().numpy()[0, 0]
    windows = [same_windows(axis, kernel, stride) for axis in size]
    expected = [
        sum(
            padded_at(features.numpy(), places) * value
            for places, value in zip(itertools.product(*at), weight.flat, strict=True)
        )
        for at in itertools.product(*windows)
    ]
    normalised = np.maximum(np.array(expected) / math.sqrt(1.0 + 0.001), 0.0)  # fresh statistics are 0 and 1
    output = layer(features[None, None])
    assert output.shape[2:] == tuple(len(axis) for axis in windows)
    np.testing.assert_allclose(output.detach().flatten().numpy(), normalised, atol=1e-5)


def test_keys_are_those_of_the_port() -> None:
    keys = set(I3D("Mixed_5c", width=0.1).state_dict())
    units = [f"Conv3d_{name}" for name in ("1a_7x7", "2b_1x1", "2c_3x3")]
    blocks = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
    units += [f"Mixed_{block}.{branch}" for block in blocks for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")]
    of_unit = ["conv3d.weight"] + [
        f"bn.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    ]
    assert keys == {f"{unit}.{key}" for unit in units for key in of_unit}


def test_full_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = I3D("Mixed_5c")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters + 1024 * 400 + 400 == pytest.approx(12.7e6, rel=0.005)  # with logits for Kinetics-400
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert shapes["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert shapes["Mixed_4f.b1b.conv3d.weight"] == (320, 160, 3, 3, 3)
    assert network.channels_of("Mixed_4f") == 832
    assert network.channels_of("Mixed_5c") == 1024


def test_capsule_strides_give_the_shapes_and_cost_of_the_paper() -> None:
    taps = ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_4f")
    with torch.device("meta"):
        encoder = I3D("Mixed_4f", strides=CAPSULE_STRIDES, taps=taps)
        with FlopCounterMode(display=False) as counter:
            features = encoder(torch.empty(1, 3, 8, 224, 224))
    assert [tuple(f.shape[1:]) for f in features] == [(64, 4, 112, 112), (192, 2, 56, 56), (832, 1, 28, 28)]
    assert counter.get_total_flops() == pytest.approx(24e9, rel=0.02)


def test_standard_strides_halve_at_each_level() -> None:
    taps = ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f", "Mixed_5c")
    with torch.device("meta"):
        features = I3D("Mixed_5c", taps=taps)(torch.empty(2, 3, 16, 224, 224))
    assert [tuple(f.shape[2:]) for f in features] == [
        (8, 112, 112),
        (8, 56, 56),
        (8, 28, 28),
        (4, 14, 14),
        (2, 7, 7),
    ]


@pytest.mark.parametrize("end_point", END_POINTS)
def test_every_endpoint_can_end_it(end_point: str) -> None:
    with torch.device("meta"):
        encoder = I3D(end_point, width=0.25)
        (features,) = encoder(torch.empty(1, 3, 9, 50, 33))
        whole = I3D("Mixed_5c", width=0.25, taps=(end_point,))
        (same,) = whole(torch.empty(1, 3, 9, 50, 33))
    assert features.shape == same.shape
    assert features.shape[1] == encoder.channels_of(end_point)
    assert set(encoder.state_dict()) <= set(whole.state_dict())


def test_taps_come_in_the_order_asked() -> None:
    torch.manual_seed(0)
    encoder = I3D("Mixed_3b", width=0.1, taps=("Mixed_3b", "Conv3d_1a_7x7")).eval()
    clips = torch.randn(1, 3, 4, 16, 16)
    last, first = encoder(clips)
    torch.testing.assert_close(first, encoder.get_submodule("Conv3d_1a_7x7")(clips))
    assert last.shape[1] == encoder.channels_of("Mixed_3b")


@pytest.mark.parametrize(
    ("channels", "width", "expected"), [(64, 1.0, 64), (24, 0.25, 8), (16, 0.1, 4), (192, 0.5, 96)]
)
def test_widths_are_multiples_of_four(channels: int, width: float, expected: int) -> None:
    assert scaled(channels, width) == expected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"end_point": "Mixed_6a"}, "end_point"),
        ({"width": 0.0}, "width"),
        ({"strides": {"MaxPool3d_9": (1, 1, 1)}}, "strides"),
        ({"end_point": "Mixed_3b", "taps": ("Mixed_4f",)}, "taps"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        I3D(**arguments)
