"""Spread loss: the right class's activation must exceed each other by a margin that grows during training.

Hinton, Sabour and Frosst, "Matrix capsules with EM routing", ICLR 2018, equation 3.
"""

import torch
from torch import Tensor

FIRST_MARGIN = 0.2
LAST_MARGIN = 0.9


def margin(progress: float) -> float:
    """The margin m, rising linearly from 0.2 to 0.9 over a training: at first no capsule need be certain.

    Args:
        progress: Share of the training that is done, in [0, 1].
    """
    return FIRST_MARGIN + (LAST_MARGIN - FIRST_MARGIN) * min(max(progress, 0.0), 1.0)


def spread_loss(activations: Tensor, targets: Tensor, m: float) -> Tensor:
    """``Σ_{i ≠ t} max(0, m − (a_t − a_i))²`` of each row.

    Args:
        activations: (A, C), in [0, 1].
        targets: (A,), integer in [0, C).
        m: The margin, in [0, 1].

    Returns:
        (A,).
    """
    right = activations.gather(1, targets.unsqueeze(1))  # (A, 1)
    short = (m - (right - activations)).clamp_min(0.0).square()
    is_other = torch.ones_like(short).scatter(1, targets.unsqueeze(1), 0.0)
    return (short * is_other).sum(dim=1)
