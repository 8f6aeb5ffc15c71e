"""The paper's detector: capsules say what is done in a clip, and their poses where.

Duarte, Rawat and Shah, "VideoCapsuleNet: A Simplified Network for Action Detection", NeurIPS 2018, in the form with
two-dimensional capsules on an I3D encoder that the active-learning papers use. A clip has one class; its foreground
map is drawn from the poses of that class alone.
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.capsules import POSE, PRIMARY_KERNEL, ClassCapsules, PrimaryCapsules, mean_activation_logit
from hybridal_ray.detectors.dropout import ChannelDropout
from hybridal_ray.detectors.i3d import I3D, scaled
from hybridal_ray.detectors.interface import DetectorOutput

if TYPE_CHECKING:
    from hybridal_ray.detectors.capsule_passes import CapsulePasses

CLIP_FRAMES = 8
ENCODER_STRIDE = 8  # input pixels to a cell of the feature map
# Time is down to one step at Mixed_4f, and its map is 1/8 of the input: coarser in time and finer in space than I3D.
STRIDES = {"MaxPool3d_2a_3x3": (2, 2, 2), "MaxPool3d_3a_3x3": (1, 2, 2), "MaxPool3d_4a_3x3": (2, 1, 1)}
TAPS = ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_4f")


class CapsuleFeatures(NamedTuple):
    """What no dropout mask touches, of N clips of 8 frames of H × W pixels.

    Attributes:
        coarse: (N, 832·width, H/8, W/8), the end of the encoder.
        half_skip: (N, 64·width, 4, H/2, W/2), ready to be joined in the decoder.
        quarter_skip: (N, 64·width, 2, H/4, W/4), likewise.
    """

    coarse: Tensor
    half_skip: Tensor
    quarter_skip: Tensor


class VideoCapsuleNet(nn.Module):
    """See the module's docstring.

    Args:
        num_classes: C.
        width: Factor on the channels of encoder and decoder; 1 is the paper's network.
        dropout: Rate of the channel dropout behind the encoder and before the last layer, in [0, 1).
        capsule_types: Primary capsules at each position.
        routing_iterations: Of the EM routing.

    Attributes:
        encoder: The I3D, for pretrained weights.
        draws_one_class: See `ClassConditioned`.

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> detector = VideoCapsuleNet(num_classes=6, width=0.125, capsule_types=4).eval()
        >>> output = detector(torch.zeros(1, 3, 8, 80, 80))
        >>> tuple(output.mask_logits.shape), tuple(output.class_scores.shape), tuple(output.latent.shape)
        ((1, 8, 80, 80), (1, 6), (1, 102))
    """

    draws_one_class = True

    def __init__(
        self,
        num_classes: int,
        width: float = 1.0,
        dropout: float = 0.5,
        capsule_types: int = 32,
        routing_iterations: int = 3,
    ) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}, expected a rate in [0, 1)")
        if capsule_types < 1 or routing_iterations < 1:
            found = f"{capsule_types} and {routing_iterations}"
            raise ValueError(f"capsule_types and routing_iterations are {found}, expected at least 1")
        self.encoder = I3D(TAPS[-1], width, STRIDES, TAPS)
        half, quarter, coarse = (self.encoder.channels_of(tap) for tap in TAPS)
        narrow, wide = scaled(64, width), scaled(128, width)
        self.half_skip = nn.Conv3d(half, narrow, kernel_size=3, padding=1)
        self.quarter_skip = nn.Conv3d(quarter, narrow, kernel_size=3, padding=1)
        self.feature_dropout = ChannelDropout(dropout)
        self.primary_capsules = PrimaryCapsules(coarse, capsule_types)
        self.class_capsules = ClassCapsules(capsule_types, num_classes, routing_iterations)
        self.expand_poses = nn.ConvTranspose2d(num_classes * POSE, narrow, PRIMARY_KERNEL)
        self.coarse_skip = nn.Conv2d(coarse, narrow, kernel_size=3, padding=1)
        self.to_quarter = doubling(2 * narrow, narrow)
        self.to_half = doubling(2 * narrow, narrow)
        self.to_full = doubling(2 * narrow, wide)
        self.mask_dropout = ChannelDropout(dropout)
        self.mask_head = nn.Conv3d(wide, 1, kernel_size=3, padding=1)
        skips = (self.half_skip, self.quarter_skip, self.coarse_skip)
        for layer in (*skips, self.expand_poses, self.to_quarter, self.to_half, self.to_full):
            _keep_scale(layer)
        if self.mask_head.bias is not None:
            nn.init.constant_(self.mask_head.bias, -2.0)  # most pixels are background

    def check_input(self, clip_frames: int, input_size: int) -> None:
        """See `InputChecked`: 8 frames, and a feature map of whole cells that the 9 × 9 kernel fits into."""
        smallest = ENCODER_STRIDE * (PRIMARY_KERNEL + 1)
        if clip_frames != CLIP_FRAMES:
            raise ValueError(f"clip_frames is {clip_frames}, expected {CLIP_FRAMES}")
        if input_size % ENCODER_STRIDE or input_size < smallest:
            raise ValueError(
                f"input_size is {input_size}, expected a multiple of {ENCODER_STRIDE} that is at least {smallest}"
            )

    def encode(self, clips: Tensor) -> CapsuleFeatures:
        """The encoder, and the two skips that lie before the dropout.

        Args:
            clips: (N, 3, 8, H, W) in [-1, 1]; H and W multiples of 8, at least 80.
        """
        return self.adapt(self.encoder(clips))

    def adapt(self, features: tuple[Tensor, ...]) -> CapsuleFeatures:
        """The two skips that lie before the dropout, trained though the encoder be frozen; see `feature_cache`."""
        half, quarter, coarse = features
        return CapsuleFeatures(coarse.squeeze(2), F.relu(self.half_skip(half)), F.relu(self.quarter_skip(quarter)))

    def decode(self, features: CapsuleFeatures, classes: Tensor | None = None) -> DetectorOutput:
        """Foreground map, class logits and latent, dropout included.

        Args:
            features: From `encode`; a plain tuple will do.
            classes: (N,), integer, the class to draw; −1, or None for all, draws the most active one.

        Returns:
            See `DetectorOutput`. Class logits are those of the mean activations: their sigmoid is what the spread
            loss takes. The latent is the largest of each pose number, then of each activation, over all positions.
        """
        coarse, half_skip, quarter_skip = features
        coarse = self.feature_dropout(coarse)
        poses, activation_logits = self.class_capsules(*self.primary_capsules(coarse))
        class_scores = mean_activation_logit(activation_logits)
        drawn = self._pose_map(_only_one_class(poses, class_scores, classes))
        decoded = self._upsample(drawn, coarse, half_skip, quarter_skip)
        mask_logits = self.mask_head(self.mask_dropout(decoded)).squeeze(1)
        return DetectorOutput(mask_logits, class_scores, strongest_capsules(poses, activation_logits))

    def forward(self, clips: Tensor, classes: Tensor | None = None) -> DetectorOutput:
        """One pass: ``decode(encode(clips), classes)``."""
        return self.decode(self.encode(clips), classes)

    def pass_decoder(self) -> "CapsulePasses":
        """`decode` for many dropout masks at once; see `monte_carlo.DecodesPasses`."""
        from hybridal_ray.detectors.capsule_passes import CapsulePasses  # which builds on this file

        return CapsulePasses(self)

    def _pose_map(self, poses: Tensor) -> Tensor:
        """(N, C, 16, h − 8, w − 8) to (N, 64·width, h, w)."""
        return F.relu(self.expand_poses(poses.flatten(1, 2)))

    def _upsample(self, drawn: Tensor, coarse: Tensor, half_skip: Tensor, quarter_skip: Tensor) -> Tensor:
        """From 1/8 of the resolution and one step in time to (N, 128·width, 8, H, W)."""
        joined = torch.cat([drawn, F.relu(self.coarse_skip(coarse))], dim=1).unsqueeze(2)
        joined = torch.cat([F.relu(self.to_quarter(joined)), quarter_skip], dim=1)
        joined = torch.cat([F.relu(self.to_half(joined)), half_skip], dim=1)
        return self.to_full(joined)


def doubling(before: int, after: int) -> nn.ConvTranspose3d:
    """Doubles time, height and width."""
    return nn.ConvTranspose3d(before, after, kernel_size=3, stride=2, padding=1, output_padding=1)


def _keep_scale(layer: nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d) -> None:
    """He's initialisation (ICCV 2015), by the inputs that an output really sums: 1 in 8 of a transposed stride 2.

    Torch's own loses half of the signal in every layer; without normalisation little would reach the mask.
    """
    sums = layer.in_channels * math.prod(layer.kernel_size)
    if layer.transposed:
        sums //= math.prod(layer.stride)
    nn.init.normal_(layer.weight, std=math.sqrt(2.0 / sums))


def _only_one_class(poses: Tensor, class_scores: Tensor, classes: Tensor | None) -> Tensor:
    """Zeroes the poses (N, C, 16, h, w) of all classes but the one given, or the most active where none is."""
    chosen = class_scores.argmax(dim=1)
    if classes is not None:
        chosen = torch.where(classes >= 0, classes, chosen)
    kept = F.one_hot(chosen, poses.shape[1]).to(poses.dtype)
    return poses * kept.view(*kept.shape, 1, 1, 1)


def strongest_capsules(poses: Tensor, activation_logits: Tensor) -> Tensor:
    """The latent (N, 17·C), float32: the largest of each pose number, then of each activation, over all positions.

    Args:
        poses: (N, C, 16, h, w).
        activation_logits: (N, C, h, w).
    """
    strongest = activation_logits.flatten(2).amax(dim=-1).sigmoid()
    return torch.cat([poses.flatten(3).amax(dim=-1).flatten(1), strongest], dim=1).float()
