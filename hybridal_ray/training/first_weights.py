"""The weights that a run's first training begins with, where they are not fresh: pretrained, or of another pool."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import is_checkpoint, load_detector
from hybridal_ray.detectors.interface import DetectorSpec, encoder_of
from hybridal_ray.detectors.pretrained import LoadsItself, load_encoder
from hybridal_ray.errors import UserError
from hybridal_ray.training.seeding import seed_torch


def pretrained_weights(
    spec: DetectorSpec, location: str, *, allow_partial: bool, seed: int
) -> tuple[dict[str, Tensor], str]:
    """The fresh weights of a run, those of the encoder, or of all but the classes, replaced by pretrained ones.

    Args:
        spec: The detector; where the encoder alone is read it must keep it as a module of that name.
        location: Path or URI of a file, see `load_encoder`, or of a checkpoint that a run on another pool left.
        allow_partial: Whether weights that are missing, or of another shape, may stay fresh.
        seed: Of the run.

    Returns:
        State dict of the detector, and a line that tells what was loaded.

    Raises:
        UserError: The detector has no encoder of its own, or the file or checkpoint does not fit it.
    """
    if is_checkpoint(location):
        return _of_checkpoint(spec, location, allow_partial, seed)
    detector = _fresh(spec, seed)
    encoder = encoder_of(detector)
    if encoder is None:
        raise UserError(f"detector.pretrained: the detector {spec.name!r} keeps no module named encoder")
    if isinstance(encoder, LoadsItself):
        encoder.load_pretrained(location)
        told = f"all {len(encoder.state_dict())} tensors loaded"
    else:
        told = load_encoder(encoder, location, allow_partial=allow_partial).describe()
    return detector.state_dict(), f"{location}: {told}"


def _fresh(spec: DetectorSpec, seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        seed_torch(seed)
        return build_detector(spec)


def _of_checkpoint(spec: DetectorSpec, location: str, allow_partial: bool, seed: int) -> tuple[dict[str, Tensor], str]:
    """What a trained detector knows; tensors whose shape the number of classes decides stay fresh where it differs."""
    loaded = load_detector(location)
    if loaded.spec.name != spec.name:
        raise UserError(
            f"{location}: detector.pretrained: a checkpoint of {loaded.spec.name!r}, expected one of {spec.name!r}"
        )
    stored, fresh = loaded.detector.state_dict(), _fresh(spec, seed).state_dict()
    same_classes = _fresh(replace(spec, num_classes=loaded.spec.num_classes), seed).state_dict()
    unlike = [name for name, tensor in same_classes.items() if _shape(stored, name) != tensor.shape]
    if unlike and not allow_partial:
        raise UserError(
            f"{location}: detector.pretrained: {unlike[0]} is {_told(_shape(stored, unlike[0]))} in the checkpoint, "
            f"expected {tuple(same_classes[unlike[0]].shape)}; use one with the same detector.options, "
            "or allow a partial load"
        )
    fitting = {name: stored[name] for name, tensor in fresh.items() if _shape(stored, name) == tensor.shape}
    if not fitting:
        raise UserError(f"{location}: detector.pretrained: nothing in the checkpoint fits the detector")
    kept = [name for name in fresh if name not in fitting]
    told = f"{location}: {len(fitting)} tensors loaded" + (f"; fresh: {', '.join(kept)}" if kept else "")
    return fresh | fitting, told


def _shape(state: dict[str, Tensor], name: str) -> torch.Size | None:
    return state[name].shape if name in state else None


def _told(shape: torch.Size | None) -> str:
    return "missing" if shape is None else str(tuple(shape))
