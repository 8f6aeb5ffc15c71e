"""Scale-jitter crop: a part of each clip, enlarged to the whole, the same on all its frames."""

import torch
import torch.nn.functional as F
from torch import Tensor


def crop_clips(clips: Tensor, instances: Tensor, weights: Tensor, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Enlarges a square part of each clip, alike in pixels, instance maps and weights.

    Args:
        clips: (N, 3, T, H, W), float; sampled bilinearly.
        instances: (N, T, H, W), uint8; sampled at the nearest pixel.
        weights: (N, T, H, W); sampled at the nearest pixel.
        crops: (N, 3): left, top and side of the part, as shares of the picture; within [0, 1].

    Returns:
        The three in the same shapes.
    """
    height, width = clips.shape[-2:]
    left, top, side = crops.to(clips.device, torch.float32).unbind(dim=1)
    zero = torch.zeros_like(side)
    # affine_grid runs over [-1, 1]: the part's centre lies at 2·(left + side / 2) − 1.
    onto_part = torch.stack(
        [torch.stack([side, zero, 2 * left + side - 1], 1), torch.stack([zero, side, 2 * top + side - 1], 1)], dim=1
    )
    grid = F.affine_grid(onto_part, [len(clips), 1, height, width], align_corners=False)
    pixels = F.grid_sample(
        clips.flatten(1, 2), grid.to(clips.dtype), mode="bilinear", padding_mode="border", align_corners=False
    )
    cropped_instances, cropped_weights = (
        F.grid_sample(maps.float(), grid, mode="nearest", padding_mode="border", align_corners=False)
        for maps in (instances, weights)
    )
    return pixels.view_as(clips), cropped_instances.to(instances.dtype), cropped_weights
