"""Oracle: torch's own convolution of the masked features, mask by mask."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hybridal_ray.detectors.masked_convolution import MaskedConvolution


def one_by_one(convolution: nn.Conv2d, features: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return torch.cat([
        convolution(clip.unsqueeze(0) * mask.view(1, -1, 1, 1))
        for clip, of_clip in zip(features, masks, strict=True) for mask in of_clip
    ])  # fmt: skip


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    torch.manual_seed(0)
    torch.set_grad_enabled(False)
    yield
    torch.set_grad_enabled(True)


@settings(max_examples=40, deadline=None)
@given(
    kernel=st.sampled_from([1, 3, 4, 9]), padding=st.integers(0, 2), height=st.integers(9, 32),
    width=st.integers(9, 32), clips=st.integers(1, 2), passes=st.integers(1, 3), bias=st.booleans(),
)  # fmt: skip
def test_it_is_the_convolution_of_the_masked_features(
    kernel: int, padding: int, height: int, width: int, clips: int, passes: int, bias: bool
) -> None:
    convolution = nn.Conv2d(5, 4, kernel, padding=padding, bias=bias).double()
    features = torch.randn(clips, 5, height, width, dtype=torch.float64)
    masks = torch.randn(clips, passes, 5, dtype=torch.float64)  # any factor, not only 0 and 2
    expected = one_by_one(convolution, features, masks)
    torch.testing.assert_close(MaskedConvolution(convolution)(features, masks), expected, atol=1e-12, rtol=0)


def test_the_spectrum_follows_the_size_of_the_features() -> None:
    convolution = nn.Conv2d(3, 2, 5)
    masked = MaskedConvolution(convolution)
    masks = torch.ones(1, 1, 3)
    for size in (8, 30, 8):
        features = torch.randn(1, 3, size, size)
        torch.testing.assert_close(masked(features, masks), convolution(features), atol=1e-5, rtol=0)


def test_single_precision_keeps_five_digits_at_the_detectors_own_size() -> None:
    convolution = nn.Conv2d(832, 8, 9)
    features, masks = torch.randn(1, 832, 28, 28), 2.0 * (torch.rand(1, 2, 832) > 0.5)
    expected = one_by_one(convolution.double(), features.double(), masks.double())
    error = (MaskedConvolution(convolution.float())(features, masks) - expected).abs().max()
    assert error < 1e-5 * expected.std()
