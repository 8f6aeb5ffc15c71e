"""Oracle: torch's own convolution with the same parameters, forwards and backwards."""

import pytest
import torch
from torch import nn

from hybridal_ray.detectors.single_map import SingleMapConvolution


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (16, 16)])
def test_it_is_the_convolution_and_has_its_gradients(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    found = SingleMapConvolution(4).double()
    expected = nn.Conv2d(4, 1, kernel_size=3, padding=1).double()
    expected.load_state_dict(found.state_dict())
    features = torch.randn(2, 4, *size, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(found(features), expected(features), atol=1e-12, rtol=0)
    weights = torch.randn(2, 1, *size, dtype=torch.float64)
    for mine, its in zip(
        torch.autograd.grad((found(features) * weights).sum(), [features, *found.parameters()]),
        torch.autograd.grad((expected(features) * weights).sum(), [features, *expected.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(mine, its, atol=1e-12, rtol=0)


def test_it_runs_under_autocast_and_on_the_device_on_which_costs_are_counted() -> None:
    layer = SingleMapConvolution(4)
    with torch.autocast("cpu", torch.bfloat16):
        rough = layer(torch.ones(1, 4, 6, 6))
    torch.testing.assert_close(rough.float(), layer(torch.ones(1, 4, 6, 6)), atol=0.05, rtol=0.05)
    assert layer.to("meta")(torch.empty(1, 4, 6, 6, device="meta")).shape == (1, 1, 6, 6)
