"""From drawn clips to the tensors of a step, made ahead of time in a background thread."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from hybridal_ray.detectors.clips import clip_at
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.pool.ledger import VideoLabels
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.rendering import InstanceMaps, MaskCache, TrackRenderer
from hybridal_ray.training.sampling import WHOLE, ClipDraw
from hybridal_ray.training.settings import LossSettings
from hybridal_ray.training.stew import clip_weights, window_means
from hybridal_ray.training.tracks import tracks_of


@dataclass(frozen=True)
class TrainingBatch:
    """The clips of one step and what is to be predicted on them.

    Attributes:
        frames: (N, T, H, W, 3), uint8 RGB.
        instances: (N, T, H, W), int16; 0 for background, i + 1 on the pixels of actor i of those that are in the clip.
        weights: φ, (N, T, H, W), float32 in [0, 1].
        actor_classes: (N, M), int64, −1 where a clip has fewer than M actors.
        crops: (N, 3), float32, the part of the picture to be enlarged, see `crop_clips`; None where all is seen.
    """

    frames: Tensor
    instances: Tensor
    weights: Tensor
    actor_classes: Tensor
    crops: Tensor | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def to(self, device: torch.device) -> "TrainingBatch":
        """The same batch on another device."""
        return TrainingBatch(
            self.frames.to(device, non_blocking=True),
            self.instances.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
            self.actor_classes.to(device, non_blocking=True),
            self.crops,
        )


class ClipSource:
    """Decodes and labels single clips of the labelled videos.

    Args:
        videos: The labelled videos, and after them such as have no labels.
        labels: The labelled frames of each of them, in the same order; of a video without any, every pixel weighs 0.
        spec: Of the detector: size, length and stride of its clips.
        loss: How pseudo-labels are weighted.
        cache: Decoded frames at the detector's size.
    """

    def __init__(
        self,
        videos: Sequence[Video],
        labels: Sequence[VideoLabels],
        spec: DetectorSpec,
        loss: LossSettings,
        cache: FrameCache,
    ) -> None:
        self.videos = videos
        self.labelled = [sorted(frames) for frames in labels]
        self.spec = spec
        self.loss = loss
        self.cache = cache
        kept = MaskCache()
        self._renderers = [
            TrackRenderer(tracks_of(frames, video.num_frames), (video.height, video.width), spec.input_size, kept)
            for video, frames in zip(videos, labels, strict=True)
        ]

    def classes(self, video: int) -> list[int]:
        """Class ids of the labelled actors of a video, one a track."""
        return [track.class_id for track in self._renderers[video].tracks]

    def batch(self, draws: Sequence[ClipDraw]) -> TrainingBatch:
        """Makes the batch of some clips.

        Raises:
            UnreadableVideo: A labelled video can no longer be decoded.
        """
        clips = [self._clip(draw) for draw in draws]
        classes = [of_clip for *_, of_clip in clips]
        most = max((len(of_clip) for of_clip in classes), default=0)
        padded = np.array([[*of_clip, *[-1] * (most - len(of_clip))] for of_clip in classes], dtype=np.int64)
        return TrainingBatch(
            frames=torch.from_numpy(np.stack([frames for frames, *_ in clips])),
            instances=torch.from_numpy(np.stack([instances for _, instances, *_ in clips])),
            weights=torch.from_numpy(np.stack([weights for _, _, weights, _ in clips])),
            actor_classes=torch.from_numpy(padded.reshape(len(draws), most)),
            crops=None if all(draw.crop == WHOLE for draw in draws) else torch.tensor([draw.crop for draw in draws]),
        )

    def _clip(self, draw: ClipDraw) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[int]]:
        video, spec, window = self.videos[draw.video], self.spec, self.loss.window
        frames = clip_at(draw.start, video.num_frames, spec.clip_frames, spec.clip_stride)
        around = draw.start + spec.clip_stride * np.arange(-window, spec.clip_frames + window)
        exists = (around >= 0) & (around < video.num_frames)
        instances = self._renderers[draw.video].render(around.clip(0, video.num_frames - 1))
        weights = clip_weights(
            self.loss.weighting,
            frames,
            self.labelled[draw.video],
            window_means(instances > 0, exists, window),
            sigma=self.loss.temporal_sigma,
            stride=spec.clip_stride,
            rule=self.loss.spatial_rule,
            low=self.loss.spatial_low,
            high=self.loss.spatial_high,
        )
        pixels = self.cache.clip(video.uri, frames, keep=bool(self.labelled[draw.video]))
        inner, present = _numbered_anew(instances[window : window + spec.clip_frames])
        classes = [self._renderers[draw.video].tracks[number - 1].class_id for number in present]
        if draw.flipped:
            pixels, inner, weights = pixels[:, :, ::-1], inner[:, :, ::-1], weights[:, :, ::-1]
        return np.ascontiguousarray(pixels), np.ascontiguousarray(inner), np.ascontiguousarray(weights), classes


def _numbered_anew(instances: InstanceMaps) -> tuple[InstanceMaps, list[int]]:
    """Maps without gaps in their numbers, and the former ones: few tracks of a long video are in one clip of it."""
    counts = np.bincount(instances.ravel())
    counts[0] = 0
    present = np.flatnonzero(counts)
    numbers = np.zeros(len(counts), dtype=np.int16)
    numbers[present] = np.arange(1, len(present) + 1)
    return numbers[instances], present.tolist()


def prefetched(
    source: ClipSource, steps: Sequence[Sequence[ClipDraw]], threads: int = 1, ahead: int = 2
) -> Iterator[TrainingBatch]:
    """The batches of an epoch in order, a few of them made in background threads while the detector trains.

    Args:
        source: Where clips come from.
        steps: The clips of each step.
        threads: Batches made at the same time; decoding and most of the drawing run side by side.
        ahead: Batches kept ready beside those.
    """
    ahead += threads
    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="clips") as pool:
        coming = iter(steps)
        pending: list[Future[TrainingBatch]] = [pool.submit(source.batch, step) for step in islice(coming, ahead)]
        try:
            while pending:
                batch = pending.pop(0).result()
                pending.extend(pool.submit(source.batch, step) for step in islice(coming, 1))
                yield batch
        finally:
            for future in pending:
                future.cancel()
