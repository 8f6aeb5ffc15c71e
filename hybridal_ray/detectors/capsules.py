"""Matrix capsules: groups of channels that say whether something is there (activation) and how it lies (pose).

Hinton, Sabour and Frosst, "Matrix capsules with EM routing", ICLR 2018. Activations are handled as logits
throughout and the EM as logarithms: half precision, empty capsules and certain ones then need no special case.
"""

import math
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

POSE_SIDE = 4
POSE = POSE_SIDE * POSE_SIDE  # numbers of a pose
PRIMARY_KERNEL = 9

# The paper leaves the schedule of the inverse temperature λ open. It rises in equal steps to 2 / POSE: the logit of
# an activation then is twice a mean cost per pose dimension times the inputs a capsule has won, of order 1 with fresh
# weights. The 0.001 of known programs holds every activation near ½, out of reach of a margin of 0.9; at λ = 1
# activations start at 0 or 1, where no gradient comes through.
FINAL_INVERSE_TEMPERATURE = 2.0 / POSE
# A capsule that wins no input has the logit λ·β_a: −3 at the start, an activation of 0.05, so that the margin of
# 0.9 can be met without teaching every other class to be silent.
INITIAL_BENEFIT = -3.0 / FINAL_INVERSE_TEMPERATURE
# Added to every variance. Where a class sees one position only, it often wins a single input, which has none. At
# 0.001 such a capsule reaches 0.98, and so the margin; at 0.1 it would stay below a half, and training ends there.
VARIANCE_FLOOR = 1e-3


class PrimaryCapsules(nn.Module):
    """One convolution that makes capsules out of features; no padding, so the map loses 8 rows and columns.

    Args:
        channels: Of the features.
        types: Capsules at each position.
    """

    def __init__(self, channels: int, types: int) -> None:
        super().__init__()
        self.types = types
        self.convolution = nn.Conv2d(channels, types * (POSE + 1), PRIMARY_KERNEL)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Makes the capsules of every position.

        Args:
            features: (N, channels, h, w), h and w at least 9.

        Returns:
            Poses (N, types, 16, h − 8, w − 8) and activation logits (N, types, h − 8, w − 8); the activation is
            their sigmoid.
        """
        return self.split(self.convolution(features))

    def split(self, convolved: Tensor) -> tuple[Tensor, Tensor]:
        """Poses and activation logits, as `forward` returns them, out of what the convolution made."""
        poses, logits = convolved.split([self.types * POSE, self.types], dim=1)
        return poses.unflatten(1, (self.types, POSE)), logits


class ClassCapsules(nn.Module):
    """One capsule a class at every position, from the capsules of that position, by EM routing.

    Transformation matrices and benefits are shared over the positions.

    Args:
        types: Input capsules at a position.
        num_classes: C.
        iterations: Of the EM.

    Attributes:
        transformations: W, (types, C, 4, 4).
        benefits: β_a, (C,).
        costs: β_u, (C,).
    """

    def __init__(self, types: int, num_classes: int, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations
        self.transformations = nn.Parameter(torch.empty(types, num_classes, POSE_SIDE, POSE_SIDE))
        self.benefits = nn.Parameter(torch.full((num_classes,), INITIAL_BENEFIT))
        self.costs = nn.Parameter(torch.zeros(num_classes))
        nn.init.normal_(self.transformations, std=1.0 / math.sqrt(POSE_SIDE))  # votes as large as the poses

    def forward(self, poses: Tensor, activation_logits: Tensor) -> tuple[Tensor, Tensor]:
        """Lets every input vote for the pose of every class, and groups the votes; in float32 under autocast too.

        Args:
            poses: (N, types, 16, h, w).
            activation_logits: (N, types, h, w).

        Returns:
            Poses (N, C, 16, h, w) and activation logits (N, C, h, w), float32.
        """
        positions = (len(poses), *poses.shape[-2:])
        with _full_precision(poses.device.type):
            matrices = poses.float().permute(0, 3, 4, 1, 2).flatten(0, 2).unflatten(-1, (POSE_SIDE, POSE_SIDE))
            votes = torch.einsum("pikl,iclm->pickm", matrices, self.transformations.float()).flatten(-2)
            inputs = activation_logits.float().permute(0, 2, 3, 1).flatten(0, 2)
            means, logits = route_by_em(votes, inputs, self.benefits.float(), self.costs.float(), self.iterations)
        return means.unflatten(0, positions).permute(0, 3, 4, 1, 2), logits.unflatten(0, positions).permute(0, 3, 1, 2)


def route_by_em(
    votes: Tensor, input_logits: Tensor, benefits: Tensor, costs: Tensor, iterations: int
) -> tuple[Tensor, Tensor]:
    """Procedure 1 of the paper at P positions that do not see each other.

    Args:
        votes: V, (P, I, C, 16): the pose of output j that input i calls for.
        input_logits: (P, I), logits of the inputs' activations a_i.
        benefits: β_a, (C,).
        costs: β_u, (C,).
        iterations: At least 1.

    Returns:
        Poses μ (P, C, 16) and activation logits (P, C).
    """
    log_activations = F.logsigmoid(input_logits).unsqueeze(-1)  # (P, I, 1)
    log_assignments = torch.full_like(votes[..., 0], -math.log(votes.shape[2]))  # log R, (P, I, C)
    for iteration in range(iterations):
        inverse_temperature = FINAL_INVERSE_TEMPERATURE * (iteration + 1) / iterations
        means, variances, won = _fit_outputs(votes, log_assignments + log_activations)
        cost = won * (costs.unsqueeze(-1) + 0.5 * variances.log()).sum(dim=-1)
        logits = inverse_temperature * (benefits - cost)
        if iteration + 1 < iterations:
            log_assignments = _assign_inputs(votes, means, variances, logits)
    return means, logits


def _fit_outputs(votes: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """M-step: the Gaussian of each output.

    Args:
        votes: (P, I, C, 16).
        log_weights: log(R_ij · a_i), (P, I, C).

    Returns:
        Means and variances (P, C, 16), and Σ_i R_ij · a_i, (P, C). As a share of that sum every weight is a
        softmax, which is defined however little an output has won.
    """
    shares = log_weights.softmax(dim=1).unsqueeze(-1)
    means = (shares * votes).sum(dim=1)
    variances = (shares * (votes - means.unsqueeze(1)).square()).sum(dim=1) + VARIANCE_FLOOR
    return means, variances, log_weights.logsumexp(dim=1).exp()


def _assign_inputs(votes: Tensor, means: Tensor, variances: Tensor, logits: Tensor) -> Tensor:
    """E-step: log of the share of each input that each output claims, (P, I, C); the shares of an input sum to 1."""
    distances = ((votes - means.unsqueeze(1)).square() / variances.unsqueeze(1)).sum(dim=-1)  # (P, I, C)
    log_volumes = (2.0 * math.pi * variances).log().sum(dim=-1).unsqueeze(1)
    log_densities = -0.5 * (distances + log_volumes)
    return (F.logsigmoid(logits).unsqueeze(1) + log_densities).log_softmax(dim=-1)


def mean_activation_logit(logits: Tensor) -> Tensor:
    """The logit of the mean activation over positions, exact where the activations themselves round to 0 or 1.

    Args:
        logits: (N, C, h, w), of the activations at each position.

    Returns:
        (N, C), such that its sigmoid is the mean of ``logits.sigmoid()`` over h and w.
    """
    flat = logits.float().flatten(2)
    return F.logsigmoid(flat).logsumexp(dim=-1) - F.logsigmoid(-flat).logsumexp(dim=-1)


def _full_precision(device_type: str) -> AbstractContextManager[object]:
    """Switches autocast off, where the device has it: the meta device, on which costs are counted, has not."""
    if torch.amp.is_autocast_available(device_type):
        return torch.autocast(device_type, enabled=False)
    return nullcontext()
