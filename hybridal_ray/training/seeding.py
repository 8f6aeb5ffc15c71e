"""What torch's own generators are seeded by."""

import numpy as np
import torch


def seed_torch(*parts: int) -> None:
    """Seeds the generators that weights, training dropout and colour augmentation draw from.

    Args:
        parts: What identifies the draws: run seed, round, epoch from 1, worker. Zeros at the end count for nothing.
    """
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1)
