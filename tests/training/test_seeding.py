"""Oracle: the draws themselves, all different."""

import torch

from hybridal_ray.training.seeding import seed_torch


def test_every_epoch_and_worker_has_draws_of_its_own() -> None:
    draws = []
    for parts in [(3,), *((3, r, epoch, rank) for r in range(3) for epoch in range(1, 4) for rank in range(3)), (3,)]:
        seed_torch(*parts)
        draws.append(torch.rand(1).item())
    assert draws[0] == draws[-1]
    assert len(set(draws[:-1])) == 1 + 27
