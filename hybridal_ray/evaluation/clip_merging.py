"""Running a detector over the clips of a video, and merging what overlapping clips say of a frame."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.clips import tile_clips
from hybridal_ray.detectors.interface import Detector, DetectorOutput, DetectorSpec, normalise

Maps = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FrameMaps:
    """What the detector says of one frame, the mean over all clips that hold it.

    Attributes:
        foreground: (H, W), probability of each pixel, in [0, 1].
        class_logits: (C, h, w), in coarse cells; one cell where the detector scores whole clips.
    """

    foreground: Maps
    class_logits: Maps


@dataclass
class _Merging:
    """The sum over the clips seen so far."""

    foreground: Maps
    class_logits: Maps
    clips: int = 1

    def add(self, foreground: Maps, class_logits: Maps) -> None:
        self.foreground = self.foreground + foreground
        self.class_logits = self.class_logits + class_logits
        self.clips += 1

    def mean(self) -> FrameMaps:
        clips = np.float32(self.clips)
        return FrameMaps(self.foreground / clips, self.class_logits / clips)


def merged_maps(
    detector: nn.Module,
    spec: DetectorSpec,
    frames: npt.NDArray[np.uint8],
    *,
    device: torch.device,
    batch_clips: int,
) -> Iterator[FrameMaps]:
    """Detects on every frame of a video.

    Foreground *probabilities* are averaged over the clips, class *logits* likewise, so that a clip which is
    sure of a class weighs more than one which is not. Only frames that a later clip will touch are held.

    Args:
        detector: In evaluation mode, on `device`.
        spec: Of the detector: length and stride of clips.
        frames: (F, H, W, 3), uint8 RGB, scaled to the detector's input.
        device: Where the detector runs.
        batch_clips: Clips run at once.

    Yields:
        The maps of frame 0, 1, … F − 1.
    """
    clips = tile_clips(len(frames), spec.clip_frames, spec.clip_stride)
    appearances = np.bincount(clips.ravel(), minlength=len(frames))
    merging: dict[int, _Merging] = {}
    following = 0
    for start in range(0, len(clips), batch_clips):
        batch = clips[start : start + batch_clips]
        foreground, class_logits = _detect(detector, torch.from_numpy(frames[batch]).to(device))
        for n, clip in enumerate(batch.tolist()):
            for t, frame in enumerate(clip):
                if frame in merging:
                    merging[frame].add(foreground[n, t], class_logits[n, :, t])
                else:
                    merging[frame] = _Merging(foreground[n, t], class_logits[n, :, t])
        while following in merging and merging[following].clips == appearances[following]:
            yield merging.pop(following).mean()
            following += 1


@torch.inference_mode()
def _detect(detector: nn.Module, frames: Tensor) -> tuple[Maps, Maps]:
    """Runs the detector on (N, T, H, W, 3) uint8.

    Returns:
        (N, T, H, W) foreground probabilities and (N, C, T, h, w) class logits.
    """
    clips = normalise(frames)
    output: DetectorOutput = (
        detector.decode(detector.encode(clips)) if isinstance(detector, Detector) else detector(clips)
    )
    class_maps = output.class_maps
    if class_maps is None:
        class_maps = output.class_scores[:, :, None, None, None].expand(-1, -1, frames.shape[1], 1, 1)
    return output.mask_logits.float().sigmoid().cpu().numpy(), class_maps.float().cpu().numpy()
