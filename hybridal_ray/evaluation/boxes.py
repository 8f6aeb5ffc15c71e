"""From a foreground map to boxes: connected components, their overlap, non-maximum suppression."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

EIGHT_NEIGHBOURS = np.ones((3, 3), dtype=bool)


@dataclass(frozen=True)
class Components:
    """The connected foreground regions of one frame, top to bottom, then left to right.

    Attributes:
        boxes: (n, 4), x1, y1, x2, y2 in pixels of the map, x2 and y2 exclusive.
        objectness: (n,), mean foreground probability over the pixels of the region, in [0, 1].
        masks: (n, H, W), the pixels of each region.
    """

    boxes: Floats
    objectness: Floats
    masks: Mask

    def take(self, indices: Indices) -> "Components":
        """The components at `indices`, in that order."""
        return Components(self.boxes[indices], self.objectness[indices], self.masks[indices])


def overlap_of_boxes(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Floats:
    """Intersection over union, without the +1 pixel of older tools; 0 where both boxes are empty.

    Args:
        first: (..., 4), x1, y1, x2, y2, x2 and y2 exclusive.
        second: (..., 4), broadcast against `first`.

    Returns:
        (...), in [0, 1].
    """
    first, second = first.astype(np.float64, copy=False), second.astype(np.float64, copy=False)
    corner_low = np.maximum(first[..., :2], second[..., :2])
    corner_high = np.minimum(first[..., 2:], second[..., 2:])
    intersection = np.prod(np.clip(corner_high - corner_low, 0.0, None), axis=-1)
    areas = np.prod(first[..., 2:] - first[..., :2], axis=-1) + np.prod(second[..., 2:] - second[..., :2], axis=-1)
    union = areas - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def iou_matrix(first: npt.NDArray[np.floating], second: npt.NDArray[np.floating]) -> Floats:
    """Intersection over union of every pair: (n, 4) and (m, 4) give (n, m)."""
    return overlap_of_boxes(first[:, None, :], second[None, :, :])


def boxes_of_components(probabilities: npt.NDArray[np.floating], threshold: float, min_area: float) -> Components:
    """Boxes around the regions that are foreground; pixels that touch at a corner are connected.

    Args:
        probabilities: (H, W), foreground probability of each pixel.
        threshold: A pixel is foreground when its probability is greater.
        min_area: Pixels that a region must have at least; smaller ones are dropped.

    Returns:
        The regions; their objectness is the mean probability over their pixels, so it exceeds `threshold`.
    """
    labels, _ = ndimage.label(probabilities > threshold, structure=EIGHT_NEIGHBOURS)
    areas = np.bincount(labels.ravel())
    kept = np.flatnonzero(areas >= max(min_area, 1))
    kept = kept[kept > 0]
    slices = ndimage.find_objects(labels)
    boxes = np.array(
        [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in (slices[i - 1] for i in kept)],
        dtype=np.float64,
    ).reshape(-1, 4)
    sums = np.bincount(labels.ravel(), weights=probabilities.ravel().astype(np.float64))
    return Components(boxes, sums[kept] / areas[kept], labels == kept[:, None, None])


def non_maximum_suppression(boxes: npt.NDArray[np.floating], scores: Floats, iou: float) -> Indices:
    """Keeps the best of every group of boxes that lie on one another.

    Args:
        boxes: (n, 4).
        scores: (n,); of equal scores the lower index goes first.
        iou: A box is dropped when it overlaps a kept one of higher score by more than this.

    Returns:
        Indices of the boxes kept, best score first.
    """
    overlaps = iou_matrix(boxes, boxes)
    kept: list[int] = []
    for candidate in np.argsort(-scores, kind="stable"):
        if not np.any(overlaps[candidate, kept] > iou):
            kept.append(int(candidate))
    return np.array(kept, dtype=np.int64)
