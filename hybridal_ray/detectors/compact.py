"""The compact detector: for CPUs, small pools, and several actors that do different things in one clip.

A two-dimensional residual encoder runs over every frame; a quarter of the channels of each block is shifted one
frame back and a quarter one frame ahead (Lin et al., "TSM: Temporal Shift Module for Efficient Video
Understanding", ICCV 2019), so that motion is seen at the price of a still image. A feature pyramid (Lin et al.,
CVPR 2017) leads back to one foreground map a frame and to class logits in cells of 8 × 8 pixels.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.dropout import ChannelDropout
from hybridal_ray.detectors.interface import DetectorOutput

GROUPS = 8  # of every group normalisation
Features = tuple[Tensor, ...]


class CompactDetector(nn.Module):
    """See the module's docstring.

    Args:
        num_classes: C.
        width: Channels at 1/2 of the resolution, a multiple of 8; 1/4, 1/8 and 1/16 have 2, 4 and 6 times as many.
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
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}, expected a rate in [0, 1)")
        if width % GROUPS or pyramid_width % GROUPS:
            raise ValueError(f"width and pyramid_width are {width} and {pyramid_width}, expected multiples of {GROUPS}")
        widths = [width, 2 * width, 4 * width, 6 * width]
        self.stem = nn.Conv2d(6, width, kernel_size=5, stride=2, padding=2)
        self.stages = nn.ModuleList(
            nn.ModuleList([_ShiftBlock(before, after, stride=2), _ShiftBlock(after, after, stride=1)])
            for before, after in itertools.pairwise(widths)
        )
        self.dropouts = nn.ModuleList(ChannelDropout(dropout) for _ in widths[1:])
        self.laterals = nn.ModuleList(nn.Conv2d(channels, pyramid_width, kernel_size=1) for channels in widths[1:])
        self.smooth = nn.ModuleList(_conv_norm(pyramid_width, pyramid_width) for _ in widths[1:])
        self.narrow = nn.Conv2d(pyramid_width, width, kernel_size=1)
        self.refine = _conv_norm(width, width)
        self.mask_head = nn.Conv2d(width, 1, kernel_size=3, padding=1)
        self.class_body = _conv_norm(3 * pyramid_width, 2 * pyramid_width)
        self.class_dropout = ChannelDropout(dropout)
        self.class_head = nn.Conv2d(2 * pyramid_width, num_classes, kernel_size=1)
        if self.mask_head.bias is not None:
            nn.init.constant_(self.mask_head.bias, -2.0)  # most pixels are background

    def encode(self, clips: Tensor) -> Features:
        """Features of every frame at four resolutions.

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
        return tuple(_by_clip(level, num_clips) for level in levels)

    def decode(self, features: Features) -> DetectorOutput:
        """Foreground maps, class logits and latent; see `DetectorOutput`."""
        finest, *coarser = features
        quarter, eighth, sixteenth = self._pyramid(coarser)
        num_clips = len(finest)
        refined = self.refine(finest.flatten(0, 1) + _twice(self.narrow(quarter)))
        mask_logits = F.interpolate(self.mask_head(refined), scale_factor=2, mode="bilinear", align_corners=False)
        mask_logits = _by_clip(mask_logits.squeeze(1), num_clips)
        class_maps, hidden = self._class_maps(_by_clip(eighth, num_clips))
        actor_weights = _cell_weights(mask_logits, (class_maps.shape[-2], class_maps.shape[-1]))
        class_scores = (class_maps * actor_weights).sum(dim=(1, 3, 4))
        scene = _by_clip(sixteenth, num_clips).mean(dim=(1, 3, 4))
        latent = torch.cat([(hidden * actor_weights).sum(dim=(1, 3, 4)), scene], dim=1)
        return DetectorOutput(mask_logits, class_scores, latent, class_maps.transpose(1, 2))

    def forward(self, clips: Tensor) -> DetectorOutput:
        """One pass: ``decode(encode(clips))``."""
        return self.decode(self.encode(clips))

    def _pyramid(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """From (N, T, C_l, h, w) at 1/4, 1/8 and 1/16 to (N·T, pyramid_width, h, w), the coarse seen by the fine."""
        merged: list[Tensor] = []
        for level, dropout, lateral, smooth in zip(
            reversed(levels), reversed(self.dropouts), reversed(self.laterals), reversed(self.smooth), strict=True
        ):
            sideways = lateral(_drop(dropout, level).flatten(0, 1))
            merged.insert(0, smooth(sideways + _twice(merged[0]) if merged else sideways))
        return tuple(merged)

    def _class_maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (N, T, C, h, w) and the features behind them; each cell sees its own place over all frames."""
        average = frames.mean(dim=1, keepdim=True).expand_as(frames)
        steps = max(frames.shape[1] - 1, 1)  # a clip of one frame has no motion
        motion = (frames.diff(dim=1).abs().sum(dim=1, keepdim=True) / steps).expand_as(frames)
        context = torch.cat([frames, average, motion], dim=2)
        hidden = _drop(self.class_dropout, _by_clip(self.class_body(context.flatten(0, 1)), len(frames)))
        return _by_clip(self.class_head(hidden.flatten(0, 1)), len(frames)), hidden


class _ShiftBlock(nn.Module):
    """Residual block of two 3 × 3 convolutions, the first on channels shifted along time."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _conv_norm(before, after, stride)
        self.second = nn.Sequential(
            nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False), nn.GroupNorm(GROUPS, after)
        )
        self.shortcut = nn.Identity() if before == after and stride == 1 else nn.Conv2d(before, after, 1, stride=stride)

    def forward(self, frames: Tensor, num_clips: int) -> Tensor:
        """(N·T, before, h, w) to (N·T, after, h / stride, w / stride)."""
        changed = self.second(self.first(_shift_along_time(frames, num_clips)))
        return F.relu(changed + self.shortcut(frames))


def _conv_norm(before: int, after: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(GROUPS, after),
        nn.ReLU(),
    )


def _twice(features: Tensor) -> Tensor:
    """(…, h, w) to (…, 2h, 2w), every value four times."""
    return F.interpolate(features, scale_factor=2, mode="nearest")


def _shift_along_time(features: Tensor, num_clips: int) -> Tensor:
    """Moves a quarter of the channels one frame ahead and a quarter one frame back; zeros enter at the ends."""
    batch, channels, height, width = features.shape
    clips = features.view(num_clips, batch // num_clips, channels, height, width)  # (N, T, C, h, w)
    quarter = channels // 4
    ahead = F.pad(clips[:, :-1, :quarter], (0, 0, 0, 0, 0, 0, 1, 0))
    back = F.pad(clips[:, 1:, quarter : 2 * quarter], (0, 0, 0, 0, 0, 0, 0, 1))
    return torch.cat([ahead, back, clips[:, :, 2 * quarter :]], dim=2).view(batch, channels, height, width)


def _by_clip(frames: Tensor, num_clips: int) -> Tensor:
    """(N·T, …) to (N, T, …)."""
    return frames.unflatten(0, (num_clips, len(frames) // num_clips))


def _drop(dropout: nn.Module, frames: Tensor) -> Tensor:
    """Drops the same channels on all frames of a clip; (N, T, C, h, w) in and out."""
    return dropout(frames.transpose(1, 2)).transpose(1, 2)


def _cell_weights(mask_logits: Tensor, cells: tuple[int, int]) -> Tensor:
    """How much each cell counts when the clip is summed up: its share of the predicted foreground."""
    foreground = F.adaptive_avg_pool2d(mask_logits.detach().float().sigmoid(), cells) + 1e-4
    return (foreground / foreground.sum(dim=(1, 2, 3), keepdim=True)).unsqueeze(2)  # (N, T, 1, h, w)
