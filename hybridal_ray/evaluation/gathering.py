"""One pass over the predictions that keeps of each detection what figures need: a few bytes instead of a row.

Matching looks at one video at a time, so the predictions go by in portions; what is kept of a detection is its
video, class, score, and at which thresholds it was a hit.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Indices
from hybridal_ray.evaluation.columns import BoxColumns, frame_keys, merge_classes, pack
from hybridal_ray.evaluation.conventions import CONVENTIONS, FRAME_THRESHOLDS
from hybridal_ray.evaluation.mask_shares import MaskShares
from hybridal_ray.evaluation.matching import NONE, match_ranked
from hybridal_ray.evaluation.pairing import (
    TubePairs,
    Tubes,
    gather_tubes,
    join_pairs,
    join_tubes,
    pair_boxes,
    pair_tubes,
)

LOCALISATION_THRESHOLDS = (0.5,)
Policy = tuple[bool, bool]  # plus_one, best_of_all: what the matching of boxes depends on; conventions share it
STRICT_POLICY: Policy = (False, False)
POLICIES = tuple(sorted({(convention.plus_one, convention.best_of_all) for convention in CONVENTIONS}))


@dataclass(frozen=True)
class BoxHits:
    """Boxes by class, best score first, ties by video, frame and tube.

    Attributes:
        videos: (n,), 32 bits.
        classes: (n,), 16 bits.
        scores: (n,), 32 bits.
        hits: (n,) by policy; bit k tells whether the box was matched at the k-th threshold.
    """

    videos: npt.NDArray[np.int32]
    classes: npt.NDArray[np.int16]
    scores: npt.NDArray[np.float32]
    hits: dict[Policy, npt.NDArray[np.uint16]]

    @classmethod
    def ranked(cls, parts: Sequence["BoxHits"]) -> "BoxHits":
        """The boxes of all parts, of which each has its own by video, frame, score and tube."""
        videos = np.concatenate([part.videos for part in parts])
        classes = np.concatenate([part.classes for part in parts])
        scores = np.concatenate([part.scores for part in parts])
        of_classes = [_ranking(np.flatnonzero(classes == k), videos, scores) for k in np.unique(classes)]
        order = np.concatenate([np.empty(0, dtype=np.int64), *of_classes])
        hits = {policy: np.concatenate([part.hits[policy] for part in parts])[order] for policy in parts[0].hits}
        return cls(videos[order], classes[order], scores[order], hits)

    def rows_of(self, class_id: int) -> slice:
        """Where the boxes of a class are."""
        first, end = np.searchsorted(self.classes, [class_id, class_id + 1])
        return slice(int(first), int(end))


@dataclass(frozen=True)
class Comparison:
    """Predictions beside the truth.

    Attributes:
        boxes: The predicted boxes.
        tubes: The predicted tubes.
        true_tubes: The true ones.
        tube_pairs: Those of both that meet.
    """

    boxes: BoxHits
    tubes: Tubes
    true_tubes: Tubes
    tube_pairs: TubePairs


@dataclass(frozen=True)
class Evidence:
    """All that figures are made of.

    Attributes:
        video_ids: Videos evaluated, sorted: positions of videos are indices into them.
        true: The true boxes.
        by_class: Predictions and truth, a row a class.
        actors: The same with all classes made one.
        shares: For the convention `capsnet`.
    """

    video_ids: Sequence[str]
    true: BoxColumns
    by_class: Comparison
    actors: Comparison
    shares: MaskShares


def gather(batches: Iterable[BoxColumns], true: BoxColumns, video_ids: Sequence[str]) -> Evidence:
    """Compares predictions with the truth, portion by portion.

    Args:
        batches: Whole videos each, in the order of `BoxColumns`; no video in two of them.
        true: The truth of all videos.
        video_ids: Videos evaluated, sorted: positions of videos are indices into them.
    """
    by_class = _Comparing(true, POLICIES, FRAME_THRESHOLDS)
    actors = _Comparing(merge_classes(true), (STRICT_POLICY,), LOCALISATION_THRESHOLDS)
    shares = MaskShares(true)
    for batch in itertools.chain([true.take(slice(0, 0))], batches):
        merged = merge_classes(batch)
        by_class.add(batch)
        actors.add(merged)
        shares.add(merged, true.take(np.isin(true.videos, np.unique(batch.videos))))
    return Evidence(video_ids, true, by_class.result(), actors.result(), shares)


class _Comparing:
    """Compares portion by portion, and keeps little of each."""

    def __init__(self, true: BoxColumns, policies: Sequence[Policy], thresholds: Sequence[float]) -> None:
        self._true, self._policies, self._thresholds = true, policies, thresholds
        self._tubes, self._tube_of_box = gather_tubes(true)
        self._groups = np.unique(pack(frame_keys(true), true.classes), return_inverse=True)[1]
        self._parts: list[tuple[BoxHits, Tubes, TubePairs]] = []

    def add(self, batch: BoxColumns) -> None:
        rows = np.flatnonzero(np.isin(self._true.videos, np.unique(batch.videos)))
        pairs = pair_boxes(batch, self._true.take(rows), sorted({plus_one for plus_one, _ in self._policies}))
        groups = np.unique(self._groups[rows], return_inverse=True)[1]
        hits = {}
        for plus_one, best_of_all in self._policies:
            matched = match_ranked(
                pairs.of_same_class(plus_one), groups, len(batch), self._thresholds, best_of_all=best_of_all
            )
            hits[plus_one, best_of_all] = _bits(matched != NONE)
        tubes, tube_of_row = gather_tubes(batch)
        tube_pairs = pair_tubes(pairs, tube_of_row, self._tube_of_box[rows], len(self._tubes))
        videos, classes = batch.videos.astype(np.int32), batch.classes.astype(np.int16)
        self._parts.append((BoxHits(videos, classes, batch.scores.astype(np.float32), hits), tubes, tube_pairs))

    def result(self) -> Comparison:
        boxes, tubes, pairs = zip(*self._parts, strict=True)
        offsets = np.cumsum([0, *map(len, tubes[:-1])]).tolist()
        return Comparison(BoxHits.ranked(boxes), join_tubes(tubes), self._tubes, join_pairs(pairs, offsets))


def _ranking(rows: Indices, videos: npt.NDArray[np.int32], scores: npt.NDArray[np.float32]) -> Indices:
    """The rows by score, best first, ties by video."""
    rows = rows[np.argsort(videos[rows], kind="stable")]
    return rows[np.argsort(-scores[rows], kind="stable")]


def _bits(hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint16]:
    """(n, thresholds) to (n,), bit k for threshold k."""
    return (hits << np.arange(hits.shape[1], dtype=np.uint16)).sum(axis=1, dtype=np.uint16)
