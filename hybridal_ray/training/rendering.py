"""Tracks drawn as instance maps at the detector's size: 0 for background, i + 1 for the i-th track.

Between two labelled frames a mask is interpolated by signed distances (method §6), each of them first moved to where
the interpolated box has its centre: those of an actor that walks away from its former place would else shrink, and
where the two places do not overlap leave nothing (docs/pseudo_labels.md has the figures).
"""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from hybridal_ray.pool.masks import decode_mask
from hybridal_ray.training.tracks import Track, interpolate_boxes

Mask = npt.NDArray[np.bool_]
InstanceMaps = npt.NDArray[np.int16]
Key = tuple[Literal["mask", "distance"], str, int, int, int]
KEPT_MIB = 256  # of masks and distance transforms that all renderers of a worker keep


class TrackRenderer:
    """Draws the tracks of one video, and remembers its labelled masks and their distance transforms.

    Args:
        tracks: At most 32,767.
        picture: Height and width of the decoded frame, in pixels; boxes and masks are given in it.
        size: Height and width of the maps, in pixels.
        kept: Where masks and distance transforms are kept; None keeps them here.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        picture: tuple[int, int],
        size: int,
        kept: "MaskCache | None" = None,
    ) -> None:
        self.tracks = tracks
        self.picture = picture
        self.size = size
        self._kept = MaskCache() if kept is None else kept

    def render(self, frames: npt.NDArray[np.int64]) -> InstanceMaps:
        """The instance maps of some frames.

        Where actors overlap, the later track covers the earlier one.

        Args:
            frames: (F,), frame indices of the video.

        Returns:
            (F, size, size), int16.
        """
        maps = np.zeros((len(frames), self.size, self.size), dtype=np.int16)
        for index, track in enumerate(self.tracks):
            boxes, inside = interpolate_boxes(track, frames)
            for position in np.flatnonzero(inside):
                mask = self._mask(index, int(frames[position]), boxes[position])
                if mask is None:
                    mask = self._filled_box(boxes[position])
                maps[position][mask] = index + 1
        return maps

    def _filled_box(self, box: npt.NDArray[np.float64]) -> Mask:
        height, width = self.picture
        x1, x2 = box[[0, 2]] * self.size / width
        y1, y2 = box[[1, 3]] * self.size / height
        centres = np.arange(self.size) + 0.5  # a pixel belongs to the box when its centre does
        return np.outer((centres >= y1) & (centres < y2), (centres >= x1) & (centres < x2))

    def _mask(self, index: int, frame: int, box: npt.NDArray[np.float64]) -> Mask | None:
        """The mask of a track on a frame where its box is `box`, None where the labels around it have no masks."""
        track = self.tracks[index]
        after = int(np.searchsorted(track.frames, frame))
        if after < len(track.frames) and track.frames[after] == frame:
            return self._labelled_mask(index, after)
        before = max(after - 1, 0)
        after = min(after, len(track.frames) - 1)
        if track.masks[before] is None or track.masks[after] is None:
            return None
        if before == after:
            return self._labelled_mask(index, before)
        share = (frame - track.frames[before]) / (track.frames[after] - track.frames[before])
        from_before, from_after = (
            move(self._distance(index, label), *self._pixels_moved(track.boxes[label], box))
            for label in (before, after)
        )
        return interpolate_masks(from_before, from_after, share)

    def _pixels_moved(self, start: npt.NDArray[np.float64], end: npt.NDArray[np.float64]) -> tuple[int, int]:
        """How far the centre of a box goes to the right and down, in pixels of the maps."""
        height, width = self.picture
        right, down = (end[:2] + end[2:] - start[:2] - start[2:]) / 2 * self.size / np.array([width, height])
        return round(right), round(down)

    def _labelled_mask(self, index: int, position: int) -> Mask | None:
        counts = self.tracks[index].masks[position]
        if counts is None:
            return None
        key: Key = ("mask", counts, *self.picture, self.size)
        mask = self._kept.get(key)
        if mask is None:
            height, width = self.picture
            rows = (np.arange(self.size) + 0.5) * height / self.size
            columns = (np.arange(self.size) + 0.5) * width / self.size
            mask = decode_mask(counts, height, width)[np.ix_(rows.astype(int), columns.astype(int))]
            self._kept.put(key, mask)
        return mask

    def _distance(self, index: int, position: int) -> npt.NDArray[np.float32]:
        counts = self.tracks[index].masks[position]
        assert counts is not None
        key: Key = ("distance", counts, *self.picture, self.size)
        distances = self._kept.get(key)
        if distances is None:
            mask = self._labelled_mask(index, position)
            assert mask is not None
            distances = signed_distance(mask)
            self._kept.put(key, distances)
        return distances


class MaskCache:
    """Masks at the detector's size and their distance transforms, those used last; safe for several threads.

    Args:
        max_bytes: What they may take.
    """

    def __init__(self, max_bytes: int = KEPT_MIB * 2**20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Key, npt.NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Key) -> npt.NDArray[Any] | None:
        """What is kept of a mask: by its counts, height and width of the picture, and the size it was drawn at."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, drawn: npt.NDArray[Any]) -> None:
        """Keeps one, and drops those that were used least lately."""
        with self._lock:
            if key not in self._kept:
                self._bytes += drawn.nbytes
            self._kept[key] = drawn
            while self._bytes > self._max_bytes:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes


def signed_distance(mask: Mask) -> npt.NDArray[np.float32]:
    """Distance of each pixel to the border of a mask, in pixels: positive inside, negative outside.

    Args:
        mask: (H, W). An empty mask is minus the picture's diagonal everywhere.
    """
    if not mask.any():
        return np.full(mask.shape, -float(np.hypot(*mask.shape)), dtype=np.float32)
    inside = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    outside = ndimage.distance_transform_edt(~mask)
    return (inside - outside).astype(np.float32)


def move(distances: npt.NDArray[np.float32], right: int, down: int) -> npt.NDArray[np.float32]:
    """Moves signed distances over the picture; where nothing moves in, those of the border stand.

    Args:
        distances: (H, W).
        right: Pixels to the right, negative to the left.
        down: Pixels down, negative up.
    """
    height, width = distances.shape
    rows = np.clip(np.arange(height) - down, 0, height - 1)
    columns = np.clip(np.arange(width) - right, 0, width - 1)
    return distances[np.ix_(rows, columns)]


def interpolate_masks(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32], share: float) -> Mask:
    """The mask between two labelled ones: where their signed distances, mixed linearly, are positive.

    Args:
        before: (H, W), signed distances of the earlier mask.
        after: (H, W), of the later one.
        share: Place between them, 0 at the earlier and 1 at the later.
    """
    return (1.0 - share) * before + share * after > 0
