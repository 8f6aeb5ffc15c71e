"""The head that tells several actors of one clip apart, on any encoder that gives maps at 1/2, 1/4, 1/8 and 1/16.

A feature pyramid (Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017) leads the coarse maps back
to one foreground map a frame. Class logits are given in the cells at 1/8, so that each actor can be classified by the
cells under its own mask.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.dropout import ChannelDropout
from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.single_map import SingleMapConvolution

GROUPS = 8  # of every group normalisation
LEVELS = 4  # 1/2, 1/4, 1/8, 1/16


class PyramidHead(nn.Module):
    """Foreground maps, class maps and latent from feature maps at four resolutions; holds all the dropout.

    Args:
        level_channels: Channels of the maps at 1/2, 1/4, 1/8 and 1/16 of the resolution.
        num_classes: C.
        pyramid_width: Channels of the pyramid at 1/4, 1/8 and 1/16, a multiple of 8.
        finest_width: Channels at 1/2, a multiple of 8.
        dropout: Rate of the channel dropout in front of the pyramid and of the class head, in [0, 1).

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> head = PyramidHead([8, 16, 24, 32], num_classes=6, pyramid_width=16, finest_width=8, dropout=0.2).eval()
        >>> levels = [torch.zeros(1, 4, 8 * l, 64 // 2**l, 64 // 2**l) for l in (1, 2, 3, 4)]
        >>> output = head(levels, num_frames=8)
        >>> tuple(output.mask_logits.shape), tuple(output.class_scores.shape)
        ((1, 8, 64, 64), (1, 6))
    """

    def __init__(
        self, level_channels: Sequence[int], num_classes: int, pyramid_width: int, finest_width: int, dropout: float
    ) -> None:
        super().__init__()
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"dropout is {dropout}, expected a rate in [0, 1)")
        if len(level_channels) != LEVELS:
            raise ValueError(f"level_channels has {len(level_channels)} entries, expected {LEVELS}")
        finest, *coarser = level_channels
        self.dropouts = nn.ModuleList(ChannelDropout(dropout) for _ in coarser)
        self.laterals = nn.ModuleList(nn.Conv2d(channels, pyramid_width, kernel_size=1) for channels in coarser)
        self.smooth = nn.ModuleList(conv_norm(pyramid_width, pyramid_width) for _ in coarser)
        self.finest_lateral = (
            nn.Identity() if finest == finest_width else nn.Conv2d(finest, finest_width, kernel_size=1)
        )
        self.narrow = nn.Conv2d(pyramid_width, finest_width, kernel_size=1)
        self.refine = conv_norm(finest_width, finest_width)
        self.mask_head = SingleMapConvolution(finest_width)
        self.class_body = conv_norm(3 * pyramid_width, 2 * pyramid_width)
        self.class_dropout = ChannelDropout(dropout)
        self.class_head = nn.Conv2d(2 * pyramid_width, num_classes, kernel_size=1)
        if self.mask_head.bias is not None:
            nn.init.constant_(self.mask_head.bias, -2.0)  # most pixels are background

    def forward(self, levels: Sequence[Tensor], num_frames: int) -> DetectorOutput:
        """Decodes a clip.

        Args:
            levels: Four tensors (N, t_l, C_l, H/2^l, W/2^l), l = 1 … 4. Time comes before the channels, so that
                frames can be taken as a batch.
            num_frames: T. Levels with fewer moments t_l are brought to T by linear interpolation.

        Returns:
            See `DetectorOutput`; class maps in cells of 8 × 8 pixels.
        """
        finest, *coarser = levels
        quarter, eighth, sixteenth = self._pyramid(coarser, num_frames)
        num_clips = len(finest)
        sideways = _to_frames(self.finest_lateral(finest.flatten(0, 1)), num_clips, num_frames)
        refined = self.refine(sideways + _twice(self.narrow(quarter)))
        mask_logits = F.interpolate(self.mask_head(refined), scale_factor=2, mode="bilinear", align_corners=False)
        mask_logits = by_clip(mask_logits.squeeze(1), num_clips)
        class_maps, hidden = self._class_maps(by_clip(eighth, num_clips))
        actor_weights = _cell_weights(mask_logits, (class_maps.shape[-2], class_maps.shape[-1]))
        class_scores = (class_maps * actor_weights).sum(dim=(1, 3, 4))
        scene = by_clip(sixteenth, num_clips).mean(dim=(1, 3, 4))
        latent = torch.cat([(hidden * actor_weights).sum(dim=(1, 3, 4)), scene], dim=1)
        return DetectorOutput(mask_logits, class_scores, latent, class_maps.transpose(1, 2))

    def _pyramid(self, levels: Sequence[Tensor], num_frames: int) -> tuple[Tensor, ...]:
        """From (N, t_l, C_l, h, w) at 1/4, 1/8, 1/16 to (N·T, pyramid_width, h, w), the coarse seen by the fine."""
        merged: list[Tensor] = []
        for level, dropout, lateral, smooth in zip(
            reversed(levels), reversed(self.dropouts), reversed(self.laterals), reversed(self.smooth), strict=True
        ):
            # Dropped and narrowed first: both commute with the interpolation, which then has less to do.
            narrow = lateral(_drop(dropout, level).flatten(0, 1))
            sideways = _to_frames(narrow, len(level), num_frames)
            merged.insert(0, smooth(sideways + _twice(merged[0]) if merged else sideways))
        return tuple(merged)

    def _class_maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits (N, T, C, h, w) and the features behind them; each cell sees its own place over all frames."""
        average = frames.mean(dim=1, keepdim=True).expand_as(frames)
        steps = max(frames.shape[1] - 1, 1)  # a clip of one frame has no motion
        motion = (frames.diff(dim=1).abs().sum(dim=1, keepdim=True) / steps).expand_as(frames)
        context = torch.cat([frames, average, motion], dim=2)
        hidden = _drop(self.class_dropout, by_clip(self.class_body(context.flatten(0, 1)), len(frames)))
        return by_clip(self.class_head(hidden.flatten(0, 1)), len(frames)), hidden


def conv_norm(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """A 3 × 3 convolution, group normalisation and ReLU.

    Raises:
        ValueError: `after` is no multiple of 8.
    """
    if after % GROUPS:
        raise ValueError(f"{after} channels, expected a multiple of {GROUPS}")
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, stride=stride, padding=1, bias=False),
        nn.GroupNorm(GROUPS, after),
        nn.ReLU(),
    )


def by_clip(frames: Tensor, num_clips: int) -> Tensor:
    """(N·T, …) to (N, T, …)."""
    return frames.unflatten(0, (num_clips, len(frames) // num_clips))


def _to_frames(moments: Tensor, num_clips: int, num_frames: int) -> Tensor:
    """(N·t, C, h, w) to (N·T, C, h, w) by linear interpolation along time, so that neighbouring frames differ."""
    clips = by_clip(moments, num_clips)
    if clips.shape[1] == num_frames:
        return moments
    # A product with a small matrix: on a GPU torch interpolates one axis of so many channels in seconds.
    shares = _interpolation(clips.shape[1], num_frames).to(clips)
    return torch.einsum("ft,ntchw->nfchw", shares, clips).flatten(0, 1)


def _interpolation(moments: int, num_frames: int) -> Tensor:
    """(T, t): the share of each moment in each frame, both spread evenly over the clip; ends are held."""
    places = (torch.arange(num_frames) + 0.5) * moments / num_frames - 0.5
    distances = (places.clamp(0, moments - 1).unsqueeze(1) - torch.arange(moments)).abs()
    return (1.0 - distances).clamp_min(0.0)


def _twice(features: Tensor) -> Tensor:
    """(…, h, w) to (…, 2h, 2w), every value four times."""
    return F.interpolate(features, scale_factor=2, mode="nearest")


def _drop(dropout: nn.Module, frames: Tensor) -> Tensor:
    """Drops the same channels on all frames of a clip; (N, T, C, h, w) in and out."""
    return dropout(frames.transpose(1, 2)).transpose(1, 2)


def _cell_weights(mask_logits: Tensor, cells: tuple[int, int]) -> Tensor:
    """How much each cell counts when the clip is summed up: its share of the predicted foreground."""
    foreground = F.adaptive_avg_pool2d(mask_logits.detach().float().sigmoid(), cells) + 1e-4
    return (foreground / foreground.sum(dim=(1, 2, 3), keepdim=True)).unsqueeze(2)  # (N, T, 1, h, w)
