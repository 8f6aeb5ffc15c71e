"""Oracles: the paper's Procedure 1 in plain loops at one position, permuted classes and inputs, finite differences."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F

from hybridal_ray.detectors.capsules import (
    FINAL_INVERSE_TEMPERATURE,
    VARIANCE_FLOOR,
    ClassCapsules,
    PrimaryCapsules,
    mean_activation_logit,
    route_by_em,
)

Array = npt.NDArray[np.float64]


def procedure_1(
    votes: Array, activations: Array, benefits: Array, costs: Array, iterations: int
) -> tuple[Array, Array]:
    """EM routing of one position, line by line from the paper: votes (I, C, 16), activations (I,)."""
    inputs, outputs, size = votes.shape
    r = np.full((inputs, outputs), 1.0 / outputs)
    mean, variance, active = np.zeros((outputs, size)), np.zeros((outputs, size)), np.zeros(outputs)
    for iteration in range(iterations):
        inverse_temperature = FINAL_INVERSE_TEMPERATURE * (iteration + 1) / iterations
        for j in range(outputs):  # M-step
            weight = [r[i, j] * activations[i] for i in range(inputs)]
            cost = 0.0
            for h in range(size):
                mean[j, h] = sum(weight[i] * votes[i, j, h] for i in range(inputs)) / sum(weight)
                spread = sum(weight[i] * (votes[i, j, h] - mean[j, h]) ** 2 for i in range(inputs)) / sum(weight)
                variance[j, h] = spread + VARIANCE_FLOOR
                cost += (costs[j] + math.log(math.sqrt(variance[j, h]))) * sum(weight)
            active[j] = 1.0 / (1.0 + math.exp(-inverse_temperature * (benefits[j] - cost)))
        for i in range(inputs):  # E-step
            claims = np.zeros(outputs)
            for j in range(outputs):
                exponent = sum((votes[i, j, h] - mean[j, h]) ** 2 / (2.0 * variance[j, h]) for h in range(size))
                volume = math.sqrt(math.prod(2.0 * math.pi * variance[j, h] for h in range(size)))
                claims[j] = active[j] * math.exp(-exponent) / volume
            r[i] = claims / claims.sum()
    return mean, active


@pytest.mark.parametrize("iterations", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_routing_is_procedure_1(iterations: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    inputs, outputs, positions = 6, 3, 4
    votes = rng.normal(size=(positions, inputs, outputs, 16))
    logits = rng.normal(size=(positions, inputs))
    benefits, costs = rng.normal(size=outputs) * 10.0, rng.normal(size=outputs)
    means, active = route_by_em(*(torch.from_numpy(array) for array in (votes, logits, benefits, costs)), iterations)
    for p in range(positions):
        expected_mean, expected_active = procedure_1(
            votes[p], 1.0 / (1.0 + np.exp(-logits[p])), benefits, costs, iterations
        )
        np.testing.assert_allclose(means[p].numpy(), expected_mean, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(active[p].sigmoid().numpy(), expected_active, rtol=1e-6, atol=1e-12)


def test_class_capsules_vote_with_a_matrix_of_their_own_at_every_position() -> None:
    torch.manual_seed(0)
    layer = ClassCapsules(types=5, num_classes=3, iterations=3).double()
    poses, logits = torch.randn(2, 5, 16, 2, 3, dtype=torch.float64), torch.randn(2, 5, 2, 3, dtype=torch.float64)
    means, active = layer(poses, logits)
    assert means.shape == (2, 3, 16, 2, 3)
    assert active.shape == (2, 3, 2, 3)
    assert means.dtype == active.dtype == torch.float32
    matrices = layer.transformations.detach().numpy()
    for n, y, x in ((0, 0, 0), (1, 1, 2), (0, 1, 1)):
        votes = np.zeros((5, 3, 16))
        for i in range(5):
            pose = poses[n, i, :, y, x].numpy().reshape(4, 4)
            for c in range(3):
                votes[i, c] = (pose @ matrices[i, c]).reshape(16)
        inputs = 1.0 / (1.0 + np.exp(-logits[n, :, y, x].numpy()))
        mean, activation = procedure_1(votes, inputs, layer.benefits.detach().numpy(), layer.costs.detach().numpy(), 3)
        np.testing.assert_allclose(means[n, :, :, y, x].detach().numpy(), mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(active[n, :, y, x].detach().sigmoid().numpy(), activation, rtol=1e-3)


def test_permuted_classes_give_permuted_capsules() -> None:
    torch.manual_seed(1)
    votes, logits = torch.randn(7, 8, 4, 16), torch.randn(7, 8)
    benefits, costs = torch.randn(4), torch.randn(4)
    order = torch.tensor([2, 0, 3, 1])
    means, active = route_by_em(votes, logits, benefits, costs, 3)
    permuted_means, permuted = route_by_em(votes[:, :, order], logits, benefits[order], costs[order], 3)
    torch.testing.assert_close(permuted_means, means[:, order], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(permuted, active[:, order], atol=1e-4, rtol=1e-4)


def test_the_order_of_the_inputs_does_not_matter() -> None:
    torch.manual_seed(2)
    votes, logits = torch.randn(3, 8, 4, 16), torch.randn(3, 8)
    order = torch.randperm(8)
    one = route_by_em(votes, logits, torch.zeros(4), torch.zeros(4), 3)
    other = route_by_em(votes[:, order], logits[:, order], torch.zeros(4), torch.zeros(4), 3)
    for expected, found in zip(one, other, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_agreement_activates() -> None:
    # All inputs say the same of class 0 and contradict each other on class 1.
    votes = torch.randn(1, 16, 2, 16, generator=torch.Generator().manual_seed(0))
    votes[:, :, 0] = 0.5
    _, logits = route_by_em(votes, torch.full((1, 16), 4.0), torch.zeros(2), torch.zeros(2), 3)
    assert logits[0, 0].sigmoid() > 0.99
    assert logits[0, 0] > logits[0, 1] + 2.0


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0, 1e3])
@pytest.mark.parametrize("input_logit", [-200.0, -3.0, 200.0])
def test_values_and_gradients_are_finite_at_the_extremes(scale: float, input_logit: float) -> None:
    torch.manual_seed(3)
    votes = (scale * torch.randn(5, 8, 4, 16)).requires_grad_()
    logits = torch.full((5, 8), input_logit, requires_grad=True)
    benefits, costs = torch.zeros(4, requires_grad=True), torch.zeros(4, requires_grad=True)
    means, active = route_by_em(votes, logits, benefits, costs, 3)
    (means.square().mean() + active.sigmoid().sum()).backward()
    for tensor in (means, active, votes.grad, logits.grad, benefits.grad, costs.grad):
        assert tensor is not None
        assert torch.isfinite(tensor).all()


def test_gradients_are_those_of_finite_differences() -> None:
    torch.manual_seed(4)
    arguments = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in ((2, 3, 2, 16), (2, 3), (2,), (2,))
    ]
    assert torch.autograd.gradcheck(lambda *a: route_by_em(*a, 2), arguments)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_routing_is_float32_whatever_comes_in(dtype: torch.dtype) -> None:
    torch.manual_seed(5)
    layer = ClassCapsules(types=6, num_classes=4, iterations=3)
    poses, logits = torch.randn(2, 6, 16, 3, 3).to(dtype), torch.randn(2, 6, 3, 3).to(dtype)
    expected = layer(poses.float(), logits.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(poses, logits)
    for one, other in zip(expected, found, strict=True):
        assert other.dtype == torch.float32
        assert torch.equal(one, other)


def test_primary_capsules_are_slices_of_one_convolution() -> None:
    torch.manual_seed(6)
    layer = PrimaryCapsules(channels=3, types=2)
    features = torch.randn(1, 3, 10, 11)
    poses, logits = layer(features)
    assert poses.shape == (1, 2, 16, 2, 3)
    assert logits.shape == (1, 2, 2, 3)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    window = features[0, :, 1:10, 2:11]  # what the output at (1, 2) sees
    values = (weight * window).sum(dim=(1, 2, 3)) + bias
    torch.testing.assert_close(poses[0, 1, :, 1, 2], values[16:32], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logits[0, :, 1, 2], values[32:], atol=1e-5, rtol=1e-4)


def test_logit_of_the_mean_activation() -> None:
    logits = torch.randn(2, 3, 4, 5, dtype=torch.float64) * 3.0
    mean = logits.sigmoid().mean(dim=(2, 3))
    torch.testing.assert_close(mean_activation_logit(logits).sigmoid().double(), mean, atol=1e-6, rtol=1e-5)
    certain = torch.tensor([-150.0, 150.0]).view(1, 2, 1, 1).expand(1, 2, 3, 3).clone().requires_grad_()
    scores = mean_activation_logit(certain)
    torch.testing.assert_close(scores, torch.tensor([[-150.0, 150.0]]))
    F.cross_entropy(scores, torch.tensor([0])).backward()
    assert certain.grad is not None
    assert certain.grad.abs().sum() > 0
