"""What a detector is: clips in, foreground maps, class scores and a latent out.

`encode` is deterministic and holds no dropout; `decode` holds all of it. Monte Carlo Dropout therefore encodes a
clip once and decodes it R times. A module of the user's own without that split is taken too, at R full passes.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class DetectorOutput:
    """What a detector says of N clips of T frames.

    Attributes:
        mask_logits: (N, T, H, W), foreground logit of each pixel: somebody acts here.
        class_scores: (N, C), class logits of the whole clip.
        latent: (N, D), the representation that deep clustering works on.
        class_maps: (N, C, T, h, w), class logits in coarse cells, for detectors that tell the actors of one clip
            apart; None where a clip has one class.
    """

    mask_logits: Tensor
    class_scores: Tensor
    latent: Tensor
    class_maps: Tensor | None = None


@runtime_checkable
class Detector(Protocol):
    """A torch module whose stochastic part is separate from its deterministic part."""

    def encode(self, clips: Tensor) -> Any:
        """Computes all that no dropout mask touches.

        Args:
            clips: (N, 3, T, H, W), RGB in [-1, 1].

        Returns:
            A tensor or a tuple of tensors, each with the clips as first axis.
        """
        ...

    def decode(self, features: Any) -> DetectorOutput:
        """Computes the rest, dropout included, from what `encode` returned."""
        ...


@runtime_checkable
class ClassConditioned(Protocol):
    """A detector that draws its foreground map for one class of the clip, as class capsules do.

    While it is trained that is the class of the labels; otherwise the one that the detector itself finds most
    probable. Its `forward` takes ``(clips, classes)``, and its `decode` ``(features, classes)``, with classes (N,),
    integer, −1 where a clip has no labelled actor, or None.
    """

    draws_one_class: bool


@runtime_checkable
class InputChecked(Protocol):
    """A detector that cannot take clips of every length and size."""

    def check_input(self, clip_frames: int, input_size: int) -> None:
        """Compares what the configuration asks for with what the network can take.

        Raises:
            ValueError: Names the field, what was found and what was expected.
        """
        ...


@dataclass(frozen=True)
class DetectorSpec:
    """All that is needed to build a detector again, as it is stored in a checkpoint.

    Attributes:
        name: Registered name, or dotted path ``package.module:Name``.
        num_classes: C.
        input_size: Height and width, in pixels, to which frames are scaled.
        clip_frames: T, frames in a clip.
        clip_stride: Video frames from one frame of a clip to the next.
        options: Further keyword arguments of the detector's constructor.
    """

    name: str
    num_classes: int
    input_size: int
    clip_frames: int
    clip_stride: int
    options: dict[str, Any] = field(default_factory=dict)


def encoder_of(detector: nn.Module) -> nn.Module | None:
    """What of a detector can be pretrained, frozen, and have its features cached.

    Returns:
        The module that it keeps as ``detector.encoder``, None when it has no such module.
    """
    encoder = getattr(detector, "encoder", None)
    return encoder if isinstance(encoder, nn.Module) else None


def normalise(frames: Tensor) -> Tensor:
    """Turns decoded frames into detector input.

    Args:
        frames: (N, T, H, W, 3), uint8 RGB.

    Returns:
        (N, 3, T, H, W), float32 in [-1, 1].
    """
    return frames.permute(0, 4, 1, 2, 3).to(torch.float32).div_(127.5).sub_(1.0)
