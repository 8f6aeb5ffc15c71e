"""Pretrained encoders: the weight files that circulate, read into the part of a detector that they fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from hybridal_ray.detectors.weight_files import read_weights
from hybridal_ray.errors import UserError

FIELD = "detector.pretrained"
_WRAPPERS = ("state_dict", "model_state_dict")  # entries under which trainers keep a model's weights
_PARALLEL_PREFIX = "module."  # what DataParallel puts before every key
_COUNTER = "num_batches_tracked"  # older files have none, and nothing depends on it
_KEYS_SHOWN = 3


@runtime_checkable
class LoadsItself(Protocol):
    """An encoder whose weights circulate in a layout of their own, such as a directory of the transformers library."""

    def load_pretrained(self, location: str) -> None:
        """Fills the encoder.

        Args:
            location: Path, in that layout.

        Raises:
            UserError: It is unreadable or does not fit.
        """
        ...


@dataclass(frozen=True)
class EncoderLoad:
    """What became of the tensors of a file and of an encoder.

    Attributes:
        loaded: Keys of the encoder that the file filled.
        missing: Keys of the encoder that the file has not.
        unexpected: Keys of the file that the encoder has not, such as the layers beyond its last endpoint.
        mismatched: Keys that both have, in different shapes.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]

    def describe(self) -> str:
        """One line for the log."""
        parts = [f"{len(self.loaded)} tensors loaded"]
        for name, keys in (
            ("missing in the file", self.missing),
            ("of another shape", self.mismatched),
            ("of the file not used", self.unexpected),
        ):
            if keys:
                parts.append(f"{len(keys)} {name} ({_few(keys)})")
        return "; ".join(parts)


def load_encoder(encoder: nn.Module, location: str, *, allow_partial: bool) -> EncoderLoad:
    """Fills an encoder with the weights of a file, such as ``rgb_charades.pt`` or ``rgb_imagenet.pt`` for an I3D.

    Args:
        encoder: Changed in place; left as it is when an error is raised.
        location: Path or URI of a state dict under the encoder's own key names, possibly each with ``module.`` in
            front, possibly under ``state_dict`` or ``model_state_dict``. Read as weights only: code in it never runs.
        allow_partial: Keep the fresh values of what the file does not hold, instead of refusing the file.

    Returns:
        What was loaded and what was not.

    Raises:
        UserError: The file is unreadable or no state dict; nothing in it fits; or, unless allowed, a tensor of the
            encoder is missing in it or has another shape.
    """
    stored = _read_state_dict(location)
    own = encoder.state_dict()
    shared = [key for key in own if key in stored]
    fitting = [key for key in shared if stored[key].shape == own[key].shape]
    load = EncoderLoad(
        loaded=tuple(fitting),
        missing=tuple(key for key in own if key not in stored and not key.endswith(_COUNTER)),
        unexpected=tuple(key for key in stored if key not in own),
        mismatched=tuple(key for key in shared if stored[key].shape != own[key].shape),
    )
    if all(key.endswith(_COUNTER) for key in fitting):
        raise UserError(
            f"{location}: {FIELD}: nothing in the file fits the encoder: it holds {_few(tuple(stored))}, "
            f"expected {_few(tuple(own))}{_shapes(load.mismatched, stored, own)}"
        )
    if not allow_partial and (load.missing or load.mismatched):
        raise UserError(
            f"{location}: {FIELD}: the file fits the encoder in part only: {load.describe()}"
            f"{_shapes(load.mismatched, stored, own)}; use a file that fits, or allow a partial load"
        )
    encoder.load_state_dict({key: stored[key] for key in fitting}, strict=False)
    return load


def _read_state_dict(location: str) -> dict[str, Tensor]:
    """The tensors of a file by key, without the prefix of DataParallel."""
    state = read_weights(location, FIELD)
    if isinstance(state, dict):
        state = next((state[name] for name in _WRAPPERS if isinstance(state.get(name), dict)), state)
    tensors = {key: value for key, value in state.items() if isinstance(value, Tensor)} if _by_name(state) else {}
    if not tensors:
        raise UserError(f"{location}: {FIELD}: found no state dict, expected tensors by name")
    return {key.removeprefix(_PARALLEL_PREFIX): value for key, value in tensors.items()}


def _by_name(state: object) -> bool:
    return isinstance(state, dict) and all(isinstance(key, str) for key in state)


def _few(keys: Sequence[str]) -> str:
    """The first keys, and that there are more."""
    return ", ".join(keys[:_KEYS_SHOWN]) + (", …" if len(keys) > _KEYS_SHOWN else "")


def _shapes(mismatched: Sequence[str], stored: dict[str, Tensor], own: dict[str, Tensor]) -> str:
    """The shapes of the first tensor that differs, for a message; empty when none does."""
    if not mismatched:
        return ""
    key = mismatched[0]
    return f"; {key} is {tuple(stored[key].shape)} in the file, expected {tuple(own[key].shape)}"
