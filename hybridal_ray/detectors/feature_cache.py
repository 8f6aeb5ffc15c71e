"""Features of a frozen encoder, kept on disk: a clip that was encoded once is read in all later rounds.

A detector takes part when its `encode` is ``adapt(encoder(clips))``, with the module `encoder` and a method `adapt`.
What the encoder returns is kept; `adapt` (a change of layout, or trained layers such as skip convolutions and
deconvolutions) runs each time, so that training it never makes a kept feature wrong.
"""

import hashlib
import io
import json
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.clips import FrameIndices
from hybridal_ray.detectors.interface import DetectorSpec, encoder_of
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

CHECKSUM_BYTES = 16
FORMAT_VERSION = 1


@runtime_checkable
class AdaptsEncoder(Protocol):
    """A detector whose encoder can be looked up instead of run: ``encode(clips) == adapt(encoder(clips))``."""

    def adapt(self, features: Any) -> Any:
        """From what the encoder returns (a tensor or a tuple of them) to what `decode` takes; no dropout."""
        ...


class FeatureCache:
    """Features by encoder and video, one file for each batch of clips.

    An encoder's folder is named by a hash over its weights and settings, a file in it by the video (location, size
    and time of change), the frames of the clips and the arithmetic: another encoder, a changed video or another
    precision reads nothing that is not its own. Features keep their type and layout, so scores are bit for bit those
    without the cache. Any number of processes may share a location. A file that is damaged is written anew. Nothing
    is ever deleted: when an encoder is no longer used, remove its folder. A clip of 8 frames of 224 × 224 takes 30 MB
    from I3D with four taps, and 2.4 MB from VideoMAE-base.

    Args:
        location: Directory or URI.
        detector: On its device, its encoder in evaluation mode; read once, at construction.
        spec: What the detector was built from.

    Raises:
        UserError: The detector does not take part; see the module's docstring.
    """

    def __init__(self, location: str, detector: nn.Module, spec: DetectorSpec) -> None:
        encoder = encoder_of(detector)
        if encoder is None or not isinstance(detector, AdaptsEncoder):
            raise UserError(
                f"feature cache {location}: detector {spec.name!r} cannot use it; expected a detector with a module "
                "`encoder` and a method `adapt`, and encode(clips) to be adapt(encoder(clips))"
            )
        self._encoder: nn.Module = encoder
        self._adapt: Callable[[Any], Any] = detector.adapt
        self._device = next((parameter.device for parameter in encoder.parameters()), torch.device("cpu"))
        self.folder = storage.join(location, _encoder_key(encoder, spec, self._device))

    def encode(self, uri: str, clips: FrameIndices, inputs: Callable[[], Tensor]) -> Any:
        """What ``detector.encode`` returns for a batch of clips, the encoder's part of it read where it is kept.

        Args:
            uri: The video.
            clips: (N, T), the frames of each clip; the same clips in another batch are kept apart, for the size of
                a batch may move last digits.
            inputs: Makes the (N, 3, T, H, W) that the encoder takes; called only where nothing is kept.

        Raises:
            UserError: The location cannot be written to.
        """
        return self._adapt(self.features(uri, clips, lambda: self._encoder(inputs())))

    def features(self, uri: str, clips: FrameIndices, compute: Callable[[], Any]) -> Any:
        """What the encoder returns for a batch of clips; arguments as in `encode`.

        Args:
            uri: The video.
            clips: (N, T).
            compute: Runs the encoder; called only where nothing is kept.

        Returns:
            A tensor or a tuple of tensors, on the encoder's device.
        """
        key = _clips_key(uri, clips, _arithmetic(self._device))
        if key is None:
            return compute()
        place = storage.join(self.folder, key[:2], f"{key}.pt")
        kept = _read(place)
        if kept is not None:
            return _to(kept, self._device)
        computed = compute()
        _write(place, _to(computed, torch.device("cpu")))
        return computed


def _encoder_key(encoder: nn.Module, spec: DetectorSpec, device: torch.device) -> str:
    """Names all that decides what the encoder makes of given frames; the kind of device decides last digits."""
    digest = hashlib.blake2b(digest_size=16)
    settings = {
        "format": FORMAT_VERSION,
        "name": spec.name,
        "options": spec.options,
        "input_size": spec.input_size,
        "device": device.type,
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for name, tensor in sorted(encoder.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _arithmetic(device: torch.device) -> str:
    """In what the encoder computes here and now."""
    mixed = torch.is_autocast_enabled(device.type)
    return str(torch.get_autocast_dtype(device.type)) if mixed else "as the weights"


def _clips_key(uri: str, clips: FrameIndices, arithmetic: str) -> str | None:
    """Names the clips of a video as it is now, and how they are computed; None where it cannot be looked at."""
    try:
        state = storage.state_of(uri)
    except (OSError, UserError):
        return None
    identity = json.dumps([uri, *state, clips.shape, arithmetic])
    frames = np.ascontiguousarray(clips, dtype="<i8").tobytes()
    return hashlib.blake2b(identity.encode() + frames, digest_size=16).hexdigest()


def _read(place: str) -> Any:
    """The features in a file; None where there is none, or a damaged one."""
    try:
        content = storage.read_bytes(place)
    except UserError:
        return None
    checksum, features = content[:CHECKSUM_BYTES], content[CHECKSUM_BYTES:]
    if checksum != _checksum(features):
        return None
    return torch.load(io.BytesIO(features), weights_only=True)


def _write(place: str, features: Any) -> None:
    buffer = io.BytesIO()
    torch.save(features, buffer)
    content = buffer.getvalue()
    storage.write_bytes(place, _checksum(content) + content)


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=CHECKSUM_BYTES).digest()


def _to(features: Any, device: torch.device) -> Any:
    """A copy on a device that shares no memory with what it is a view of, layout kept."""
    if isinstance(features, Tensor):
        return features.detach().to(device, copy=True)
    return tuple(_to(feature, device) for feature in features)
