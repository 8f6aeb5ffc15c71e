"""R dropout passes of the capsule detector's decoder for little more than the arithmetic of one.

The same function of the same masks as ``decode`` of `VideoCapsuleNet`, which stays its definition; sums are taken in
another order, so that results differ by rounding. What is saved, at 224 × 224 pixels and R = 10:

- the two convolutions behind the first mask are done for all passes at once (`MaskedConvolution`);
- the classes that are not drawn have no poses, so the kernels that would spread them are left out;
- a transposed convolution of features side by side is the sum of those of its parts: the part that no mask touches
  is computed once a clip;
- the last upsampling, its mask and the mask head are composed (`SmoothedUpsampling`);
- votes of the capsules are routed for a few positions at a time, which stay in a processor's cache.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hybridal_ray.detectors.capsules import POSE, mean_activation_logit
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.masked_convolution import MaskedConvolution
from hybridal_ray.detectors.monte_carlo import Generators
from hybridal_ray.detectors.smoothed_upsampling import SmoothedUpsampling
from hybridal_ray.detectors.video_capsule_net import CapsuleFeatures, VideoCapsuleNet, strongest_capsules

# Measured on one core: what leaves the caches takes up to ten times as long to route, half as long again to upsample.
CPU_POSITIONS_AT_ONCE, CPU_PASSES_AT_ONCE = 48, 1
# Bounds memory: votes of 43 KB a position at 21 classes, 30 MB of maps a pass at 224 × 224 pixels.
POSITIONS_AT_ONCE, PASSES_AT_ONCE = 8192, 16


class CapsulePasses:
    """See the module's docstring and `monte_carlo.PassDecoder`.

    The class that is drawn is the most active one, as in ``decode``. Where two classes are equally active up to
    rounding, the two ways may draw different ones.

    Args:
        detector: In evaluation mode, on its device; its weights must not change afterwards.
    """

    def __init__(self, detector: VideoCapsuleNet) -> None:
        self._detector = detector
        self._primary = MaskedConvolution(detector.primary_capsules.convolution)
        self._coarse_skip = MaskedConvolution(detector.coarse_skip)
        self._to_mask = SmoothedUpsampling(detector.to_full, detector.mask_head)

    def __call__(self, features: CapsuleFeatures, generators: Generators) -> DetectorOutput:
        """Decodes each clip R times; see `monte_carlo.PassDecoder`."""
        coarse, half_skip, quarter_skip = features
        detector, flat = self._detector, list(itertools.chain.from_iterable(generators))
        with seeded_dropout(detector, flat):
            masks = detector.feature_dropout.draw_mask(len(flat), coarse.shape[1], like=coarse)
            last_masks = detector.mask_dropout.draw_mask(len(flat), detector.mask_head.in_channels, like=coarse)
        by_clip = masks.unflatten(0, (len(coarse), -1))
        poses, activation_logits = self._class_capsules(self._primary(coarse, by_clip))
        class_scores = mean_activation_logit(activation_logits)
        drawn = self._pose_map(poses, class_scores.argmax(dim=1))
        joined = torch.cat([drawn, F.relu(self._coarse_skip(coarse, by_clip))], dim=1).unsqueeze(2)
        mask_logits = self._upsample(joined, half_skip, quarter_skip, last_masks)
        return DetectorOutput(mask_logits, class_scores, strongest_capsules(poses, activation_logits))

    def _class_capsules(self, convolved: Tensor) -> tuple[Tensor, Tensor]:
        """Poses (N·R, C, 16, h, w) and logits (N·R, C, h, w), some positions at a time, for none sees another."""
        poses, logits = self._detector.primary_capsules.split(convolved)
        at_once = CPU_POSITIONS_AT_ONCE if convolved.device.type == "cpu" else POSITIONS_AT_ONCE
        by_position = zip(
            poses.permute(0, 3, 4, 1, 2).flatten(0, 2).split(at_once),
            logits.permute(0, 2, 3, 1).flatten(0, 2).split(at_once),
            strict=True,
        )
        # Each position as a batch's clip of one position.
        routed = [self._detector.class_capsules(some[..., None, None], of[..., None, None]) for some, of in by_position]
        positions = (len(poses), *poses.shape[3:])
        class_poses = torch.cat([some.flatten(2) for some, _ in routed]).unflatten(0, positions)
        class_logits = torch.cat([of.flatten(1) for _, of in routed]).unflatten(0, positions)
        return class_poses.permute(0, 3, 4, 1, 2), class_logits.permute(0, 3, 1, 2)

    def _pose_map(self, poses: Tensor, chosen: Tensor) -> Tensor:
        """What the poses (N·R, C, 16, h − 8, w − 8) of one class each spread to, (N·R, 64·width, h, w)."""
        expand = self._detector.expand_poses
        kernels = expand.weight.unflatten(0, (-1, POSE))
        maps = [
            F.conv_transpose2d(of_pass[chosen_class], kernels[chosen_class], expand.bias)
            for of_pass, chosen_class in zip(poses, chosen.tolist(), strict=True)
        ]
        return F.relu(torch.stack(maps))

    def _upsample(self, joined: Tensor, half_skip: Tensor, quarter_skip: Tensor, last_masks: Tensor) -> Tensor:
        """From 1/8 of the resolution, (N·R, 128·width, 1, h, w), to mask logits (N·R, 8, H, W)."""
        to_half = self._detector.to_half
        narrow = to_half.in_channels - quarter_skip.shape[1]
        constant = _of_some_channels(to_half, quarter_skip, slice(narrow, None)) + _bias(to_half)
        clip_of = torch.arange(len(half_skip)).repeat_interleave(len(joined) // len(half_skip))
        kernels = self._to_mask.compose(last_masks)
        at_once = CPU_PASSES_AT_ONCE if joined.device.type == "cpu" else PASSES_AT_ONCE
        logits = []
        for some in torch.arange(len(joined)).split(at_once):
            clips = clip_of[some]
            quarter = F.relu(self._detector.to_quarter(joined[some]))
            half = F.relu(_of_some_channels(to_half, quarter, slice(narrow)) + constant[clips])
            upsampled = torch.cat([half, half_skip[clips]], dim=1)
            logits.append(self._to_mask(upsampled, kernels[:, :, :, some], last_masks[some]))
        return torch.cat(logits)


def _of_some_channels(layer: nn.ConvTranspose3d, features: Tensor, channels: slice) -> Tensor:
    """What a layer made by ``video_capsule_net.doubling`` makes of some input channels alone, without the bias.

    Frame by frame: moment i leads to the frames 2i − 1, 2i and 2i + 1, to each by a kernel of two dimensions, for
    which CPUs have the faster convolutions.
    """
    clips, _, moments, height, width = features.shape
    frames = features.transpose(1, 2).flatten(0, 1)
    doubled = features.new_zeros(clips, 2 * moments + 1, layer.out_channels, 2 * height, 2 * width)  # from frame −1 on
    for k in range(3):
        kernel = layer.weight[channels, :, k]
        led = F.conv_transpose2d(frames, kernel, stride=2, padding=1, output_padding=1)
        doubled[:, k : k + 2 * moments : 2] += led.unflatten(0, (clips, moments))
    return doubled[:, 1:].transpose(1, 2)


def _bias(layer: nn.ConvTranspose3d) -> Tensor:
    """To add to (N, C, t, h, w)."""
    return layer.weight.new_zeros(1) if layer.bias is None else layer.bias.view(-1, 1, 1, 1)
