"""Running a detector over the clips of a video, and merging what overlapping clips say of a frame."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.clips import FrameIndices, tile_clips
from hybridal_ray.detectors.interface import Detector, DetectorOutput, DetectorSpec, normalise

Maps = npt.NDArray[np.float32]
# From the frames of some clips, (N, T), and what makes the detector's input of them, to the features of its `encode`.
Encoded = Callable[[FrameIndices, Callable[[], Tensor]], Any]


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
    encoded: Encoded | None = None,
    latents: list[Maps] | None = None,
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
        encoded: Looks features up, where some are kept; by default the detector encodes every clip.
        latents: Gets the latents (N, D) of each batch of clips, where it is given.

    Yields:
        The maps of frame 0, 1, … F − 1.
    """
    clips = tile_clips(len(frames), spec.clip_frames, spec.clip_stride)
    appearances = np.bincount(clips.ravel(), minlength=len(frames))
    merging: dict[int, _Merging] = {}
    following = 0
    for start in range(0, len(clips), batch_clips):
        batch = clips[start : start + batch_clips]
        inputs = functools.partial(_inputs, frames, batch, device)
        looked_up = encoded and functools.partial(encoded, batch, inputs)
        foreground, class_logits, latent = _detect(detector, inputs, looked_up)
        if latents is not None:
            latents.append(latent)
        for n, clip in enumerate(batch.tolist()):
            for t, frame in enumerate(clip):
                if frame in merging:
                    merging[frame].add(foreground[n, t], class_logits[n, :, t])
                else:
                    merging[frame] = _Merging(foreground[n, t], class_logits[n, :, t])
        while following in merging and merging[following].clips == appearances[following]:
            yield merging.pop(following).mean()
            following += 1


def _inputs(frames: npt.NDArray[np.uint8], clips: FrameIndices, device: torch.device) -> Tensor:
    return normalise(torch.from_numpy(frames[clips]).to(device))


@torch.inference_mode()
def _detect(
    detector: nn.Module, inputs: Callable[[], Tensor], features: Callable[[], Any] | None
) -> tuple[Maps, Maps, Maps]:
    """Runs the detector on N clips, or decodes their features where something gives them.

    Returns:
        (N, T, H, W) foreground probabilities, (N, C, T, h, w) class logits and (N, D) latents.
    """
    output: DetectorOutput
    if isinstance(detector, Detector):
        output = detector.decode(detector.encode(inputs()) if features is None else features())
    else:
        output = detector(inputs())
    class_maps = output.class_maps
    if class_maps is None:
        num_frames = output.mask_logits.shape[1]
        class_maps = output.class_scores[:, :, None, None, None].expand(-1, -1, num_frames, 1, 1)
    outputs = (output.mask_logits.float().sigmoid(), class_maps.float(), output.latent.float())
    foreground, class_logits, latents = (of_clips.cpu().numpy() for of_clips in outputs)
    return foreground, class_logits, latents
