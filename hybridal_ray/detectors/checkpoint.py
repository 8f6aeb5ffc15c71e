"""Checkpoints of a detector: a JSON specification beside a state dict, never a pickle of code."""

import dataclasses
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.building import build_detector, settled_spec
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.detectors.weight_files import read_weights
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

SPEC_FILE = "detector.json"
WEIGHTS_FILE = "weights.pt"


@dataclass(frozen=True)
class LoadedDetector:
    """A detector out of a checkpoint.

    Attributes:
        detector: In evaluation mode, on the device asked for.
        spec: What it was built from.
        centres: (K, D), centres of deep clustering, or None when it was trained without.
    """

    detector: nn.Module
    spec: DetectorSpec
    centres: npt.NDArray[np.float32] | None


def choose_device(name: str) -> torch.device:
    """``auto`` is the GPU where there is one; other names are torch's.

    Raises:
        UserError: A GPU is asked for by name and there is none, or the name is none of torch's.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"device: {name!r} was asked for, but torch sees no GPU; expected auto or cpu here")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"device: {name!r} is no device of torch's; expected auto, cpu or cuda") from error


def is_checkpoint(directory: str) -> bool:
    """Whether a checkpoint, and not something else, is at a path or URI."""
    return storage.exists(storage.join(directory, SPEC_FILE))


def save_detector(directory: str, spec: DetectorSpec, weights: Mapping[str, Tensor], centres: Tensor | None) -> None:
    """Writes a checkpoint; the specification last, so that a half-written one is never taken for whole.

    Args:
        directory: Path or URI.
        spec: What the detector is built from; written as `settled_spec` makes it.
        weights: Its state dict.
        centres: (K, D), or None.
    """
    state: dict[str, Any] = {"weights": {name: tensor.detach().cpu() for name, tensor in weights.items()}}
    if centres is not None:
        state["centres"] = centres.detach().cpu()
    buffer = io.BytesIO()
    torch.save(state, buffer)
    storage.write_bytes(storage.join(directory, WEIGHTS_FILE), buffer.getvalue())
    storage.write_json(storage.join(directory, SPEC_FILE), dataclasses.asdict(settled_spec(spec)))


def load_detector(directory: str, device: str | torch.device = "cpu") -> LoadedDetector:
    """Reads a checkpoint that `save_detector` wrote.

    Args:
        directory: Path or URI.
        device: Where the detector goes.

    Raises:
        UserError: A file is missing or damaged, or the weights do not fit the specification.
    """
    spec = _read_spec(storage.join(directory, SPEC_FILE))
    location = storage.join(directory, WEIGHTS_FILE)
    state = read_weights(location)
    with torch.random.fork_rng(devices=[]):
        detector = build_detector(spec)
    stored = state.get("weights") if isinstance(state, dict) else None
    if not isinstance(stored, dict):
        raise UserError(f"{location}: holds no weights, expected what training keeps beside {SPEC_FILE}")
    try:
        detector.load_state_dict(stored)
    except RuntimeError as error:  # whose message has a line for every tensor
        misfit = _misfit(stored, detector.state_dict()) or " ".join(str(error).split())
        raise UserError(f"{location}: the weights do not fit {SPEC_FILE} beside them: {misfit}") from error
    centres = state.get("centres")
    return LoadedDetector(
        detector=detector.to(device).eval(), spec=spec, centres=None if centres is None else centres.numpy()
    )


def _misfit(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str | None:
    """The first tensor of a detector that its weights lack or have in another shape, and how many more do not fit."""
    wrong = [
        f"{name} is missing"
        if name not in stored
        else f"{name} is {tuple(stored[name].shape)} in the file, expected {tuple(tensor.shape)}"
        for name, tensor in own.items()
        if name not in stored or stored[name].shape != tensor.shape
    ]
    wrong += [f"{name} is in the file, and the detector has no such tensor" for name in stored if name not in own]
    if not wrong:
        return None
    return wrong[0] + (f"; nor do {len(wrong) - 1} others" if len(wrong) > 1 else "")


def _read_spec(location: str) -> DetectorSpec:
    try:
        return DetectorSpec(**storage.read_json(location))
    except TypeError as error:
        raise UserError(f"{location}: not the specification of a detector: {error}") from error
