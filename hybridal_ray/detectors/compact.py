"""The compact detector: for CPUs, small pools, and several actors that do different things in one clip.

A two-dimensional residual encoder runs over every frame; a quarter of the channels of each block is shifted one
frame back and a quarter one frame ahead (Lin et al., "TSM: Temporal Shift Module for Efficient Video
Understanding", ICCV 2019), so that motion is seen at the price of a still image. `PyramidHead` decodes.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.pyramid import GROUPS, PyramidHead, by_clip, conv_norm

Features = tuple[Tensor, ...]


class CompactEncoder(nn.Module):
    """Features of every frame at four resolutions.

    Args:
        width: Channels at 1/2 of the resolution, a multiple of 8; 1/4, 1/8 and 1/16 have 2, 4 and 6 times as many.

    Attributes:
        level_channels: Channels at 1/2, 1/4, 1/8 and 1/16.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.level_channels = (width, 2 * width, 4 * width, 6 * width)
        self.stem = nn.Conv2d(6, width, kernel_size=5, stride=2, padding=2)
        self.stages = nn.ModuleList(
            nn.ModuleList([_ShiftBlock(before, after, stride=2), _ShiftBlock(after, after, stride=1)])
            for before, after in itertools.pairwise(self.level_channels)
        )

    def forward(self, clips: Tensor) -> Features:
        """Encodes clips.

        Args:
            clips: (N, 3, T, H, W) in [-1, 1]; H and W divisible by 16.

        Returns:
            Four tensors (N, T, channels, H/2^l, W/2^l), l = 1 … 4. Time comes before the channels, so that frames
            can be taken as a batch without moving anything.
        """
        frames_before = torch.cat([clips[:, :, :1], clips[:, :, :-1]], dim=2)
        appearance_and_motion = torch.cat([clips, clips - frames_before], dim=1)  # (N, 6, T, H, W)
        num_clips = len(clips)
        features = F.relu(self.stem(appearance_and_motion.transpose(1, 2).flatten(0, 1)))  # (N·T, C, h, w) from here on
        levels = [features]
        for blocks in self.stages:
            assert isinstance(blocks, nn.ModuleList)
            for block in blocks:
                features = block(features, num_clips)
            levels.append(features)
        return tuple(by_clip(level, num_clips) for level in levels)


class CompactDetector(nn.Module):
    """See the module's docstring.

    Args:
        num_classes: C.
        width: See `CompactEncoder`.
        pyramid_width: Channels of the pyramid at 1/4, 1/8 and 1/16, a multiple of 8.
        dropout: Rate of the channel dropout in front of the pyramid and of the class head, in [0, 1).

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> detector = CompactDetector(num_classes=6).eval()
        >>> output = detector.decode(detector.encode(torch.zeros(1, 3, 8, 64, 64)))
        >>> tuple(output.mask_logits.shape), tuple(output.class_scores.shape)
        ((1, 8, 64, 64), (1, 6))
    """

    def __init__(self, num_classes: int, width: int = 16, pyramid_width: int = 32, dropout: float = 0.2) -> None:
        super().__init__()
        if width % GROUPS or pyramid_width % GROUPS:
            raise ValueError(f"width and pyramid_width are {width} and {pyramid_width}, expected multiples of {GROUPS}")
        self.encoder = CompactEncoder(width)
        self.head = PyramidHead(self.encoder.level_channels, num_classes, pyramid_width, width, dropout)

    def encode(self, clips: Tensor) -> Features:
        """What `CompactEncoder` returns."""
        return self.adapt(self.encoder(clips))

    def adapt(self, features: Features) -> Features:
        """Nothing lies between encoder and head; see `detectors.feature_cache`."""
        return features

    def decode(self, features: Features) -> DetectorOutput:
        """Foreground maps, class logits and latent; see `DetectorOutput`."""
        return self.head(features, num_frames=features[0].shape[1])

    def forward(self, clips: Tensor) -> DetectorOutput:
        """One pass: ``decode(encode(clips))``."""
        return self.decode(self.encode(clips))


class _ShiftBlock(nn.Module):
    """Residual block of two 3 × 3 convolutions, the first on channels shifted along time."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = conv_norm(before, after, stride)
        self.second = nn.Sequential(
            nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False), nn.GroupNorm(GROUPS, after)
        )
        self.shortcut = nn.Identity() if before == after and stride == 1 else nn.Conv2d(before, after, 1, stride=stride)

    def forward(self, frames: Tensor, num_clips: int) -> Tensor:
        """(N·T, before, h, w) to (N·T, after, h / stride, w / stride)."""
        changed = self.second(self.first(_shift_along_time(frames, num_clips)))
        return F.relu(changed + self.shortcut(frames))


def _shift_along_time(features: Tensor, num_clips: int) -> Tensor:
    """Moves a quarter of the channels one frame ahead and a quarter one frame back; zeros enter at the ends."""
    batch, channels, height, width = features.shape
    clips = features.view(num_clips, batch // num_clips, channels, height, width)  # (N, T, C, h, w)
    quarter = channels // 4
    ahead = F.pad(clips[:, :-1, :quarter], (0, 0, 0, 0, 0, 0, 1, 0))
    back = F.pad(clips[:, 1:, quarter : 2 * quarter], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([ahead, back, clips[:, :, 2 * quarter :]], dim=2).view(batch, channels, height, width)
