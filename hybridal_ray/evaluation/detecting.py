"""Who acts where in a video, and doing what: from a detector's maps to rows of the predictions table."""

import functools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.special import softmax
from torch import nn

from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.evaluation.boxes import Floats, Mask, boxes_of_components, non_maximum_suppression
from hybridal_ray.evaluation.clip_merging import FrameMaps, Maps, merged_maps
from hybridal_ray.evaluation.tube_pruning import TubeScore, score_tube, suppress_tubes, trim_tube
from hybridal_ray.evaluation.tubes import FrameDetections, Tube, link_tubes
from hybridal_ray.pool.decoding import read_video
from hybridal_ray.pool.tables import Video


@dataclass(frozen=True)
class DetectionSettings:
    """How maps become tubes.

    Attributes:
        mask_threshold: A pixel is foreground when its mean probability is greater, in (0, 1).
        min_area: Least size of an actor, as a share of the picture.
        nms_iou: Of two boxes of a frame that overlap more than this, the one of lower objectness is dropped.
        link_iou: Least IoU of a box with the tube it joins.
        max_gap: Frames that a tube may miss in a row.
        min_tube_frames: Shorter tubes are dropped.
        trim: Ends of a tube are cut off where the objectness is below this share of its greatest; 0 cuts nothing.
        tube_nms_iou: Of two tubes that overlap more than this, the one of lower score is dropped.
        tube_score: What a tube's score is of the objectness of its boxes.
        min_class_probability: Less probable classes of a tube are not written, save the most probable.
    """

    mask_threshold: float = 0.5
    min_area: float = 0.002
    nms_iou: float = 0.5
    link_iou: float = 0.3
    max_gap: int = 4
    min_tube_frames: int = 4
    trim: float = 0.0
    tube_nms_iou: float = 0.5
    tube_score: TubeScore = "mean"
    min_class_probability: float = 0.001


def detect_video(
    detector: nn.Module,
    spec: DetectorSpec,
    video: Video,
    *,
    device: torch.device,
    settings: DetectionSettings,
    batch_clips: int = 8,
    feature_cache: FeatureCache | None = None,
    latents: list[Maps] | None = None,
) -> list[dict[str, Any]]:
    """Finds the tubes of a video.

    Args:
        detector: In evaluation mode, on `device`.
        spec: Of the detector.
        video: Decoded whole, scaled to the detector's input size.
        device: Where the detector runs.
        settings: Thresholds.
        batch_clips: Clips run at once, which bounds the memory of the device.
        feature_cache: Of this detector; a clip whose features it holds is not encoded.
        latents: Gets the latents (N, D) of each batch of clips, where it is given.

    Returns:
        Rows of `PREDICTIONS_SCHEMA`, one a box and class, boxes in pixels of the decoded frame; empty when
        nobody was found. ``score`` is the box's objectness times the tube's class probability,
        ``tube_score`` the tube's score times the same.

    Raises:
        UnreadableVideo: The video does not decode.
    """
    maps = video_maps(
        detector, spec, video, device=device, batch_clips=batch_clips, feature_cache=feature_cache, latents=latents
    )
    return prediction_rows(maps, video, settings)


def video_maps(
    detector: nn.Module,
    spec: DetectorSpec,
    video: Video,
    *,
    device: torch.device,
    batch_clips: int,
    feature_cache: FeatureCache | None = None,
    latents: list[Maps] | None = None,
) -> Iterator[FrameMaps]:
    """What the detector says of each frame of a video; arguments and errors as in `detect_video`."""
    frames = read_video(video.uri, spec.input_size)
    encoded = None if feature_cache is None else functools.partial(feature_cache.encode, video.uri)
    return merged_maps(detector, spec, frames, device=device, batch_clips=batch_clips, encoded=encoded, latents=latents)


def prediction_rows(maps: Iterable[FrameMaps], video: Video, settings: DetectionSettings) -> list[dict[str, Any]]:
    """Links the maps of a video's frames into tubes; the rows of `detect_video`."""
    detections: list[FrameDetections] = []
    height = width = 1
    for of_frame in maps:
        height, width = of_frame.foreground.shape
        detections.append(frame_detections(of_frame, settings))
    to_pixels = np.tile([video.width / width, video.height / height], 2)
    return [
        row
        for number, tube in enumerate(video_tubes(detections, settings))
        for row in _rows(tube, to_pixels, settings, video.video_id, f"tube-{number:03d}")
    ]


def video_tubes(detections: Sequence[FrameDetections], settings: DetectionSettings) -> list[Tube]:
    """Links the boxes of a video's frames into tubes, cuts off weak ends, drops what is short or double."""
    linked = link_tubes(
        detections, link_iou=settings.link_iou, max_gap=settings.max_gap, min_tube_frames=settings.min_tube_frames
    )
    trimmed = [trim_tube(tube, settings.trim) for tube in linked]
    shortest = min(settings.min_tube_frames, len(detections))
    long_enough = [tube for tube in trimmed if len(tube.frames) >= shortest]
    return suppress_tubes(long_enough, settings.tube_nms_iou, settings.tube_score)


def frame_detections(maps: FrameMaps, settings: DetectionSettings) -> FrameDetections:
    """The boxes of one frame, in pixels of the map, with the class probabilities of each."""
    min_area = settings.min_area * maps.foreground.size
    components = boxes_of_components(maps.foreground, settings.mask_threshold, min_area)
    kept = components.take(non_maximum_suppression(components.boxes, components.objectness, settings.nms_iou))
    return FrameDetections(kept.boxes, kept.objectness, class_probabilities(maps.class_logits, kept.masks))


def class_probabilities(class_logits: Maps, masks: Mask) -> Floats:
    """The classes of the actors of one frame: softmax of the mean logit over the pixels of each.

    Pooling logits before the softmax lets cells that are sure of a class outvote those that are not.

    Args:
        class_logits: (C, h, w), in cells.
        masks: (n, H, W), the pixels of each actor, none empty; a cell counts by the share of its area they
            cover, exact where H and W are no multiples of h and w.

    Returns:
        (n, C), rows sum to 1.
    """
    rows = cell_shares(masks.shape[1], class_logits.shape[1])
    columns = cell_shares(masks.shape[2], class_logits.shape[2])
    weights = rows @ masks @ columns.T  # (n, h, w), covered area of each cell in pixels
    pooled = np.einsum("nhw,chw->nc", weights, class_logits) / weights.sum(axis=(1, 2))[:, None]
    return softmax(pooled, axis=1)


def cell_shares(pixels: int, cells: int) -> Floats:
    """How much of each pixel lies in each cell when a line of pixels is cut into equal cells, (cells, pixels)."""
    edges = np.arange(cells + 1)[:, None] * pixels / cells
    pixel = np.arange(pixels)
    return np.clip(np.minimum(edges[1:], pixel + 1) - np.maximum(edges[:-1], pixel), 0.0, None)


def _rows(
    tube: Tube, to_pixels: Floats, settings: DetectionSettings, video_id: str, tube_id: str
) -> list[dict[str, Any]]:
    probabilities, score = tube.class_probabilities, score_tube(tube.objectness, settings.tube_score)
    written = probabilities >= settings.min_class_probability
    written[probabilities.argmax()] = True
    return [
        {
            "video_id": video_id,
            "tube_id": tube_id,
            "frame": int(frame),
            "class_id": int(class_id),
            "score": float(objectness * probabilities[class_id]),
            "tube_score": float(score * probabilities[class_id]),
            **dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True)),
        }
        for class_id in np.flatnonzero(written)
        for frame, box, objectness in zip(tube.frames, tube.boxes * to_pixels, tube.objectness, strict=True)
    ]
