"""Which ground truth a ranked detection is matched to: the best that is left."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hybridal_ray.evaluation.boxes import Floats, Indices, overlap_of_boxes
from hybridal_ray.evaluation.columns import BoxColumns, TubeColumns, position_in_run
from hybridal_ray.evaluation.tubes import tube_overlap

NONE = -1


@dataclass(frozen=True)
class Candidates:
    """The ground truth that each detection can be matched to: that of its frame, or of its video.

    Attributes:
        overlaps: (n, M), IoU of each detection with the candidates; negative where there are fewer than M.
        groups: (n,), which detections compete for the same candidates, or `NONE` where there are none.
        truth: (groups, M), row of each candidate in the ground truth, or `NONE`.
    """

    overlaps: Floats
    groups: Indices
    truth: Indices


def frame_candidates(detections: BoxColumns, truth: BoxColumns) -> Candidates:
    """Candidates among the boxes of the same frame of the same video."""
    span = max(detections.frames.max(initial=0), truth.frames.max(initial=0)) + 1
    groups, slots = _group(
        detections.videos * span + detections.frames, truth.videos * span + truth.frames, truth.tubes
    )
    overlaps = np.full((len(detections), slots.shape[1]), -1.0)
    contested = groups != NONE
    candidates = slots[groups[contested]]
    overlaps[contested] = np.where(
        candidates == NONE,
        -1.0,
        overlap_of_boxes(detections.boxes[contested][:, None, :], truth.boxes[candidates]),
    )
    return Candidates(overlaps, groups, slots)


def tube_candidates(detections: TubeColumns, truth: TubeColumns) -> Candidates:
    """Candidates among the tubes of the same video, by tube IoU."""
    groups, slots = _group(detections.videos, truth.videos, truth.tubes)
    overlaps = np.full((len(detections), slots.shape[1]), -1.0)
    for row in np.flatnonzero(groups != NONE):
        for column, index in enumerate(slots[groups[row]]):
            if index != NONE:
                overlaps[row, column] = tube_overlap(
                    detections.frames[row], detections.boxes[row], truth.frames[index], truth.boxes[index]
                )
    return Candidates(overlaps, groups, slots)


def match_ranked(candidates: Candidates, thresholds: Sequence[float]) -> Indices:
    """Matches detections, best rank first, each to the best of its candidates that is left.

    All groups advance together: the n-th contenders of every group are matched at once, so that the loop is as
    long as the largest group, not as the data.

    Args:
        candidates: Of the detections in rank order.
        thresholds: IoU that a match needs at least, one matching each, all positive.

    Returns:
        (n, thresholds), the row of the ground truth that each detection was matched to, or `NONE`. Of equal
        overlaps the first candidate is taken, in the order of tube ids.
    """
    overlaps, groups = candidates.overlaps, candidates.groups
    matched = np.full((len(overlaps), len(thresholds)), NONE, dtype=np.int64)
    contenders = np.flatnonzero((groups != NONE) & (overlaps.max(axis=1, initial=-1.0) >= min(thresholds)))
    waves = list(_waves(contenders, groups))
    for column, threshold in enumerate(thresholds):
        taken = np.zeros(candidates.truth.shape, dtype=bool)
        for rows in waves:
            left = np.where(taken[groups[rows]], -1.0, overlaps[rows])
            best = left.argmax(axis=1)
            hit = left[np.arange(len(rows)), best] >= threshold
            winners, won = groups[rows[hit]], best[hit]
            matched[rows[hit], column] = candidates.truth[winners, won]
            taken[winners, won] = True
    return matched


def _group(detection_keys: Indices, truth_keys: Indices, truth_tubes: Indices) -> tuple[Indices, Indices]:
    """Gathers the ground truth by key.

    Returns:
        (n,), the group of every detection, or `NONE`; and (groups, M), the rows of the ground truth in each
        group in the order of tube ids, padded with `NONE`.
    """
    order = np.lexsort((truth_tubes, truth_keys))
    keys, group_of_truth = np.unique(truth_keys[order], return_inverse=True)
    positions = position_in_run(truth_keys[order])
    slots = np.full((len(keys), positions.max(initial=-1) + 1), NONE, dtype=np.int64)
    slots[group_of_truth, positions] = order
    groups = np.full(len(detection_keys), NONE, dtype=np.int64)
    if len(keys):
        nearest = np.minimum(np.searchsorted(keys, detection_keys), len(keys) - 1)
        groups = np.where(keys[nearest] == detection_keys, nearest, NONE)
    return groups, slots


def _waves(rows: Indices, groups: Indices) -> Iterator[Indices]:
    """Splits rows so that the n-th part holds the n-th row of every group, in rank order."""
    ordered = rows[np.argsort(groups[rows], kind="stable")]
    positions = position_in_run(groups[ordered])
    by_position = ordered[np.argsort(positions, kind="stable")]
    lengths = np.bincount(positions)
    ends = np.cumsum(lengths)
    yield from (by_position[start:end] for start, end in zip(ends - lengths, ends, strict=True))
