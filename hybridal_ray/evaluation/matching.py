"""Which ground truth each ranked detection is matched to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.columns import position_in_run

NONE = -1


@dataclass(frozen=True)
class Pairs:
    """Detections beside the ground truth that they can be matched to.

    Attributes:
        detections: (p,), row of the detection, ascending; the rows are in rank order within each group.
        truth: (p,), row of the ground truth, ascending within a detection.
        overlaps: (p,), IoU.
    """

    detections: Indices
    truth: Indices
    overlaps: Floats

    def take(self, chosen: npt.NDArray[np.bool_]) -> "Pairs":
        """The chosen pairs."""
        return Pairs(self.detections[chosen], self.truth[chosen], self.overlaps[chosen])


def match_ranked(
    pairs: Pairs, groups: Indices, num_detections: int, thresholds: Sequence[float], *, best_of_all: bool = False
) -> Indices:
    """Matches detections, best rank first; a ground truth is matched once.

    Args:
        pairs: Detections with every ground truth of their group.
        groups: (truths,), which ground truths are contended for together.
        num_detections: n.
        thresholds: IoU that a match needs at least, one matching each, all positive.
        best_of_all: A detection answers to the ground truth of greatest overlap, and is not matched when that
            is taken; else it is matched to the best that is left. Of equal overlaps the first that is left is
            taken in either case, lest a box that the ground truth holds twice could never be found twice.

    Returns:
        (n, thresholds), the row of the ground truth that each detection was matched to, or `NONE`.
    """
    matched = np.full((num_detections, len(thresholds)), NONE, dtype=np.int64)
    near = pairs.take(pairs.overlaps >= min(thresholds))
    alone = np.bincount(groups, minlength=1)[groups] == 1 if len(groups) else np.zeros(0, dtype=bool)
    _match_alone(near.take(alone[near.truth]), thresholds, matched, len(groups))
    _match_contended(near.take(~alone[near.truth]), groups, thresholds, matched, best_of_all)
    return matched


def _match_alone(pairs: Pairs, thresholds: Sequence[float], matched: Indices, num_truth: int) -> None:
    """Where a group has one ground truth, the first detection that overlaps enough has it."""
    for column, threshold in enumerate(thresholds):
        enough = pairs.take(pairs.overlaps >= threshold)
        first = np.full(num_truth, NONE, dtype=np.int64)
        first[enough.truth[::-1]] = enough.detections[::-1]  # written backwards, so that the first stays
        found = np.flatnonzero(first != NONE)
        matched[first[found], column] = found


def _match_contended(
    pairs: Pairs, groups: Indices, thresholds: Sequence[float], matched: Indices, best_of_all: bool
) -> None:
    """Where a group has several, all groups advance together: the n-th contenders of each are matched at once."""
    if not len(pairs.truth):
        return
    rows, row_of_pair = np.unique(pairs.detections, return_inverse=True)
    truths, truth_of_pair = np.unique(pairs.truth, return_inverse=True)
    by_group = np.argsort(groups[truths], kind="stable")
    slots = np.empty(len(truths), dtype=np.int64)
    slots[by_group] = position_in_run(groups[truths][by_group])
    _, group_of_truth = np.unique(groups[truths], return_inverse=True)
    slot_of_pair, group_of_pair = slots[truth_of_pair], group_of_truth[truth_of_pair]
    shape = (group_of_truth.max() + 1, slots.max() + 1)
    truth_at = np.full(shape, NONE, dtype=np.int64)
    truth_at[group_of_truth, slots] = truths
    overlaps = np.full((len(rows), shape[1]), -1.0)
    overlaps[row_of_pair, slot_of_pair] = pairs.overlaps
    group_of_row = np.empty(len(rows), dtype=np.int64)
    group_of_row[row_of_pair] = group_of_pair
    taken = np.zeros((*shape, len(thresholds)), dtype=bool)
    least = np.array(thresholds)
    for wave in _waves(group_of_row):
        own, rivals = overlaps[wave][:, :, None], group_of_row[wave]
        eligible = (own >= least) & ~taken[rivals]
        if best_of_all:
            eligible &= own == own.max(axis=1, keepdims=True)
        best = np.where(eligible, own, -1.0).argmax(axis=1)
        of_wave, column = np.nonzero(eligible.any(axis=1))
        slot, group = best[of_wave, column], rivals[of_wave]
        matched[rows[wave[of_wave]], column] = truth_at[group, slot]
        taken[group, slot, column] = True


def _waves(groups: Indices) -> Iterator[Indices]:
    """Splits rows so that the n-th part holds the n-th row of every group."""
    ordered = np.argsort(groups, kind="stable")
    positions = position_in_run(groups[ordered])
    by_position = ordered[np.argsort(positions, kind="stable")]
    ends = np.cumsum(np.bincount(positions))
    yield from np.split(by_position, ends[:-1])
