"""Oracle: torch's transposed convolution, the mask, and torch's convolution, one after the other."""

import pytest
import torch
from torch import nn

from hybridal_ray.detectors.smoothed_upsampling import SmoothedUpsampling


def layers(bias: bool) -> tuple[nn.ConvTranspose3d, nn.Conv3d]:
    torch.manual_seed(0)
    doubling = nn.ConvTranspose3d(6, 5, 3, stride=2, padding=1, output_padding=1, bias=bias)
    return doubling.double(), nn.Conv3d(5, 1, 3, padding=1, bias=bias).double()


@torch.no_grad()
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 4, 3), (2, 5, 7), (4, 3, 1)])
def test_it_is_one_layer_after_the_other_borders_included(size: tuple[int, int, int], bias: bool) -> None:
    doubling, smoothing = layers(bias)
    features = torch.randn(3, 6, *size, dtype=torch.float64)
    masks = torch.randn(3, 5, dtype=torch.float64)  # any factor, not only 0 and 2
    expected = smoothing(doubling(features) * masks.view(3, 5, 1, 1, 1)).squeeze(1)
    assert expected.shape == (3, *(2 * length for length in size))
    composed = SmoothedUpsampling(doubling, smoothing)
    found = composed(features, composed.compose(masks), masks)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


@torch.no_grad()
def test_without_the_left_out_pairs_only_the_first_planes_would_differ() -> None:
    doubling, smoothing = layers(bias=True)
    features, masks = torch.randn(1, 6, 2, 3, 4, dtype=torch.float64), torch.ones(1, 5, dtype=torch.float64)
    composed = SmoothedUpsampling(doubling, smoothing)
    kernels = composed.compose(masks)
    everywhere_inner = kernels[:1, :1, :1].expand_as(kernels)
    right, wrong = (composed(features, some, masks)[0] for some in (kernels, everywhere_inner))
    torch.testing.assert_close(wrong[1:, 1:, 1:], right[1:, 1:, 1:], atol=1e-12, rtol=0)
    for first_plane in (right[0] - wrong[0], right[:, 0] - wrong[:, 0], right[:, :, 0] - wrong[:, :, 0]):
        assert (first_plane[1:, 1:].abs() > 1e-6).all()
