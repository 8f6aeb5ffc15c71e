"""Detections beside the ground truth of the same frame, and tubes beside the tubes of the same video."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Floats, Indices, overlap_of_boxes
from hybridal_ray.evaluation.columns import BoxColumns, frame_keys, pack
from hybridal_ray.evaluation.conventions import Convention, Temporal
from hybridal_ray.evaluation.matching import Pairs

DECIMALS = 12  # of a tube IoU
PLUS_ONE = np.array([0.0, 0.0, 1.0, 1.0])  # makes x2 and y2 exclusive where they were inclusive


@dataclass(frozen=True)
class BoxPairs:
    """Every detection with every true box of its frame, whatever their classes.

    Attributes:
        detections: (p,), row of the detection, ascending.
        truth: (p,), row of the true box.
        same_class: (p,), whether their classes agree.
        overlaps: (p,), IoU by whether boxes are inclusive pixels.
    """

    detections: Indices
    truth: Indices
    same_class: npt.NDArray[np.bool_]
    overlaps: dict[bool, Floats]

    def of_same_class(self, plus_one: bool) -> Pairs:
        """The pairs that can match."""
        every = Pairs(self.detections, self.truth, self.overlaps[plus_one])
        return every.take(self.same_class)


@dataclass(frozen=True)
class Tubes:
    """Tubes, one row a tube and class.

    Attributes:
        videos: (n,), as in `BoxColumns`.
        tubes: (n,).
        classes: (n,).
        scores: (n,), the greatest tube score of its rows.
        starts: (n,), first frame.
        ends: (n,), last frame.
        lengths: (n,), boxes.
        sides: (n,), mean over the boxes of the square root of the area, in pixels.
        travel: (n,), distance between the centres of the first and the last box, in pixels.
    """

    videos: Indices
    tubes: Indices
    classes: Indices
    scores: Floats
    starts: Indices
    ends: Indices
    lengths: Indices
    sides: Floats
    travel: Floats

    def __len__(self) -> int:
        return len(self.videos)

    def ranking(self) -> Indices:
        """The rows by score, best first; ties by video id, first frame and tube id."""
        return np.lexsort((self.tubes, self.starts, self.videos, -self.scores))


@dataclass(frozen=True)
class TubePairs:
    """Tubes with every true tube with which they have a frame in common, whatever their classes.

    Attributes:
        detections: (p,), row of the predicted tube.
        truth: (p,), row of the true tube.
        common: (p,), frames in common.
        spatial: (p,), mean IoU over the frames in common, by whether boxes are inclusive pixels.
    """

    detections: Indices
    truth: Indices
    common: Indices
    spatial: dict[bool, Floats]


def pair_boxes(detections: BoxColumns, truth: BoxColumns, plus_one: Sequence[bool] = (False, True)) -> BoxPairs:
    """Joins by video and frame; both in the order of `BoxColumns`."""
    span = int(max(detections.frames.max(initial=0), truth.frames.max(initial=0))) + 1
    keys, truth_keys = frame_keys(detections, span), frame_keys(truth, span)
    first = np.searchsorted(truth_keys, keys, side="left")
    counts = np.searchsorted(truth_keys, keys, side="right") - first
    rows = np.repeat(np.arange(len(keys)), counts)
    places = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts - first, counts)
    own, true = detections.boxes[rows], truth.boxes[places]
    return BoxPairs(
        rows,
        places,
        detections.classes[rows] == truth.classes[places],
        {plus: overlap_of_boxes(own + plus * PLUS_ONE, true + plus * PLUS_ONE) for plus in plus_one},
    )


def gather_tubes(columns: BoxColumns) -> tuple[Tubes, Indices]:
    """Gathers boxes, in the order of `BoxColumns`, into tubes by video, tube and class.

    Returns:
        The tubes by video, tube and class; and (rows,), the tube of each row.
    """
    keys = pack(columns.videos, columns.tubes, columns.classes)
    _, first, tube_of_row = np.unique(keys, return_index=True, return_inverse=True)
    count = len(first)
    last = np.empty(count, dtype=np.int64)
    last[tube_of_row] = np.arange(len(columns))  # the last one written stays
    lengths = np.bincount(tube_of_row, minlength=count)
    scores = np.full(count, -np.inf)
    np.maximum.at(scores, tube_of_row, columns.tube_scores)
    sides = np.sqrt(np.prod(columns.boxes[:, 2:] - columns.boxes[:, :2], axis=1))
    centres = (columns.boxes[:, 2:] + columns.boxes[:, :2]) / 2
    tubes = Tubes(
        columns.videos[first],
        columns.tubes[first],
        columns.classes[first],
        scores,
        columns.frames[first],
        columns.frames[last],
        lengths,
        np.bincount(tube_of_row, weights=sides, minlength=count) / lengths,
        np.linalg.norm(centres[last] - centres[first], axis=1),
    )
    return tubes, tube_of_row


def pair_tubes(pairs: BoxPairs, tube_of_detection: Indices, tube_of_truth: Indices, num_true_tubes: int) -> TubePairs:
    """Sums the pairs of boxes up by pairs of tubes."""
    keys = tube_of_detection[pairs.detections] * num_true_tubes + tube_of_truth[pairs.truth]
    distinct, of_pair = np.unique(keys, return_inverse=True)
    common = np.bincount(of_pair, minlength=len(distinct))
    spatial = {
        plus: np.bincount(of_pair, weights=overlaps, minlength=len(distinct)) / np.maximum(common, 1)
        for plus, overlaps in pairs.overlaps.items()
    }
    return TubePairs(distinct // num_true_tubes, distinct % num_true_tubes, common, spatial)


def join_tubes(parts: Sequence[Tubes]) -> Tubes:
    """The tubes of all parts, one after another."""
    return Tubes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Tubes)))


def join_pairs(parts: Sequence[TubePairs], offsets: Sequence[int]) -> TubePairs:
    """The pairs of all parts, whose predicted tubes begin at the offsets."""
    return TubePairs(
        np.concatenate([part.detections + offset for part, offset in zip(parts, offsets, strict=True)]),
        np.concatenate([part.truth for part in parts]),
        np.concatenate([part.common for part in parts]),
        {plus: np.concatenate([part.spatial[plus] for part in parts]) for plus in parts[0].spatial},
    )


def temporal_overlaps(pairs: TubePairs, detections: Tubes, truth: Tubes, how: Temporal) -> Floats:
    """Temporal IoU of each pair, (p,), in [0, 1]; 0 where two spans of one frame have no extent."""
    first, second = pairs.detections, pairs.truth
    if how == "frames":
        return pairs.common / (detections.lengths[first] + truth.lengths[second] - pairs.common)
    extra = 1 if how == "span_plus_one" else 0
    starts, ends = (detections.starts[first], truth.starts[second]), (detections.ends[first], truth.ends[second])
    shared = np.minimum(*ends) - np.maximum(*starts) + extra
    hull = np.maximum(*ends) - np.minimum(*starts) + extra
    return np.divide(shared, hull, out=np.zeros(len(first)), where=hull > 0)


def tube_overlaps(pairs: TubePairs, detections: Tubes, truth: Tubes, convention: Convention) -> Floats:
    """Tube IoU of each pair, (p,): temporal IoU times the mean spatial IoU over the frames in common."""
    temporal = temporal_overlaps(pairs, detections, truth, convention.temporal)
    # 1/3 of 3/5 must reach a threshold of 1/5, which the product of the two floats misses by its last digit.
    return np.round(temporal * pairs.spatial[convention.plus_one], DECIMALS)
