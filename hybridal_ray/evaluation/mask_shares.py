"""The figures of the convention ``capsnet``: the share of frames, or of videos, whose one mask is good enough.

VideoCapsuleNet (Duarte et al., NeurIPS 2018) and its successors report these as "f-mAP" and "v-mAP". There are no
scores and no false positives, and the class that was predicted plays no part; what is averaged over is the class of
the truth. A predictions table holds boxes, so the mask of a frame is the union of its boxes, of the prediction as of
the truth.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.columns import BoxColumns, frame_keys, run_starts
from hybridal_ray.evaluation.conventions import FRAME_THRESHOLDS

CELLS_AT_ONCE = 250_000  # of the grids on which unions are measured
WORD_BITS = 64


class MaskShares:
    """How well the mask of each video covers each class that is true of it.

    Attributes:
        videos: (e,), video of each entry.
        classes: (e,), class of each entry.
        frames: (e,), frames on which the class is true.
        hits: (e, thresholds), of these, how many have a mask IoU at or above each of `FRAME_THRESHOLDS`.
        overlaps: (e,), IoU of the whole volumes, in [0, 1].
    """

    def __init__(self, true: BoxColumns) -> None:
        self._num_classes = int(true.classes.max(initial=0)) + 1
        keys = self._entry_keys(true)
        self._entries = np.unique(keys)
        self.videos, self.classes = np.divmod(self._entries, self._num_classes)
        distinct = np.unique(np.stack([keys, true.frames], axis=1), axis=0)
        self.frames = np.bincount(np.searchsorted(self._entries, distinct[:, 0]), minlength=len(self._entries))
        self.hits = np.zeros((len(self._entries), len(FRAME_THRESHOLDS)), dtype=np.int64)
        self.overlaps = np.zeros(len(self._entries))

    def add(self, predicted: BoxColumns, true: BoxColumns) -> None:
        """Measures some whole videos.

        Args:
            predicted: Their boxes, one a tube and frame.
            true: Their truth.
        """
        if not len(true) or not len(predicted):
            return
        span = int(max(predicted.frames.max(), true.frames.max())) + 1
        predicted_keys = frame_keys(predicted, span)
        starts = run_starts(predicted_keys)
        frames, counts = predicted_keys[starts], np.diff(np.append(starts, len(predicted)))
        predicted_areas = union_areas(predicted.boxes, counts)

        entries = self._entry_keys(true)
        order = np.lexsort((frame_keys(true, span), entries))
        true_starts = run_starts(entries[order], frame_keys(true, span)[order])
        true_counts = np.diff(np.append(true_starts, len(order)))
        true_areas = union_areas(true.boxes[order], true_counts)
        entry_of_set = np.searchsorted(self._entries, entries[order][true_starts])

        key_of_set = frame_keys(true, span)[order][true_starts]
        place = np.minimum(np.searchsorted(frames, key_of_set), len(frames) - 1)
        there = frames[place] == key_of_set
        both = union_areas(*_joined_sets(true.boxes[order], true_counts, predicted.boxes, starts, counts, place, there))
        shared = np.where(there, predicted_areas[place], 0.0) + true_areas - both
        for column, threshold in enumerate(FRAME_THRESHOLDS):
            reached = shared / both >= threshold
            self.hits[:, column] += np.bincount(entry_of_set[reached], minlength=len(self._entries))
        by_video = np.bincount(predicted.videos[starts], predicted_areas, minlength=int(self.videos.max()) + 1)
        touched = np.unique(entry_of_set)
        inside = np.bincount(entry_of_set, shared, minlength=len(self._entries))[touched]
        volume = np.bincount(entry_of_set, true_areas, minlength=len(self._entries))[touched]
        self.overlaps[touched] = inside / (volume + by_video[self.videos[touched]] - inside)

    def _entry_keys(self, columns: BoxColumns) -> Indices:
        return columns.videos * self._num_classes + columns.classes


def union_areas(boxes: Floats, counts: Indices) -> Floats:
    """The area that some boxes cover together, exactly.

    The edges of the boxes of a set cut the plane into a grid; a cell is covered when a box spans both its row and its
    column.

    Args:
        boxes: (n, 4), set after set.
        counts: (s,), boxes of each set, at least 1.

    Returns:
        (s,), in square pixels.
    """
    areas = np.empty(len(counts))
    starts = np.cumsum(counts) - counts
    for count in np.unique(counts):
        sets = np.flatnonzero(counts == count)
        portion = max(1, CELLS_AT_ONCE // int(4 * count * count))
        for begin in range(0, len(sets), portion):
            some = sets[begin : begin + portion]
            areas[some] = _union_areas(boxes[starts[some][:, None] + np.arange(count)])
    return areas


def _union_areas(boxes: Floats) -> Floats:
    """(s, n, 4) to (s,)."""
    count = boxes.shape[1]
    if count == 1:
        return np.prod(boxes[:, 0, 2:] - boxes[:, 0, :2], axis=1)
    edges, ranks = [], []
    for axis in (0, 1):
        raw = np.concatenate([boxes[:, :, axis], boxes[:, :, axis + 2]], axis=1)
        order = np.argsort(raw, axis=1, kind="stable")
        rank = np.empty_like(order)
        np.put_along_axis(rank, order, np.arange(2 * count)[None], axis=1)
        edges.append(np.take_along_axis(raw, order, axis=1))
        ranks.append(rank)
    covered = _covered_by(ranks, 0, count)
    for begin in range(WORD_BITS, count, WORD_BITS):
        covered |= _covered_by(ranks, begin, count)
    widths, heights = (np.diff(edge, axis=1, append=edge[:, -1:]) for edge in edges)
    in_rows = np.matmul(covered.astype(np.float64), widths[:, :, None])[:, :, 0]
    return (in_rows * heights).sum(axis=1)


def _covered_by(ranks: Sequence[Indices], first: int, count: int) -> npt.NDArray[np.bool_]:
    """The cells, (s, 2n rows, 2n columns), that some of `WORD_BITS` boxes cover."""
    columns, rows = (_boxes_within(rank, first, count) for rank in ranks)
    return (rows[:, :, None] & columns[:, None, :]) != 0


def _boxes_within(ranks: Indices, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Which boxes span each cell along one axis, a bit each: a box from `first` on is entered and left once.

    Args:
        ranks: (s, 2n), the cell at which each box begins, then the cell at which each ends.
        first: Of at most `WORD_BITS` boxes that are told.
        count: n.

    Returns:
        (s, 2n).
    """
    some = np.arange(first, min(first + WORD_BITS, count))
    bits = np.uint64(1) << (some - first).astype(np.uint64)
    turns = np.zeros(ranks.shape, dtype=np.uint64)
    for corner in (0, count):
        np.put_along_axis(turns, ranks[:, some + corner], bits[None], axis=1)  # no two edges have the same rank
    return np.bitwise_xor.accumulate(turns, axis=1)


def _joined_sets(
    true: Floats,
    true_counts: Indices,
    predicted: Floats,
    starts: Indices,
    counts: Indices,
    place: Indices,
    there: npt.NDArray[np.bool_],
) -> tuple[Floats, Indices]:
    """Each set of true boxes with the predicted ones of its frame, where there are some."""
    added = np.where(there, counts[place], 0)
    joined_counts = true_counts + added
    joined = np.empty((joined_counts.sum(), 4))
    begins = np.cumsum(joined_counts) - joined_counts
    own = np.repeat(begins - (np.cumsum(true_counts) - true_counts), true_counts) + np.arange(len(true))
    joined[own] = true
    within = np.arange(added.sum()) - np.repeat(np.cumsum(added) - added, added)
    joined[np.repeat(begins + true_counts, added) + within] = predicted[np.repeat(starts[place], added) + within]
    return joined, joined_counts
