"""What torch's own generators are seeded by, and the weights that a training begins with."""

import numpy as np
import torch
from torch import Tensor

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import DetectorSpec, encoder_of
from hybridal_ray.detectors.pretrained import LoadsItself, load_encoder
from hybridal_ray.errors import UserError


def seed_torch(*parts: int) -> None:
    """Seeds the generators that weights, training dropout and colour augmentation draw from.

    Args:
        parts: What identifies the draws: run seed, round, epoch from 1, worker. Zeros at the end count for nothing.
    """
    torch.manual_seed(int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0]) >> 1)


def pretrained_weights(
    spec: DetectorSpec, location: str, *, allow_partial: bool, seed: int
) -> tuple[dict[str, Tensor], str]:
    """The fresh weights of a run, those of the encoder replaced by pretrained ones.

    Args:
        spec: The detector; it must keep its encoder as a module of that name.
        location: Path or URI, see `load_encoder`.
        allow_partial: Whether weights that are missing, or of another shape, may stay fresh.
        seed: Of the run.

    Returns:
        State dict of the detector, and a line that tells what was loaded.

    Raises:
        UserError: The detector has no encoder of its own, or the file does not fit it.
    """
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed)
        detector = build_detector(spec)
    encoder = encoder_of(detector)
    if encoder is None:
        raise UserError(f"detector.pretrained: the detector {spec.name!r} keeps no module named encoder")
    if isinstance(encoder, LoadsItself):
        encoder.load_pretrained(location)
        told = f"all {len(encoder.state_dict())} tensors loaded"
    else:
        told = load_encoder(encoder, location, allow_partial=allow_partial).describe()
    return detector.state_dict(), f"{location}: {told}"
