"""The ranked detections of one class, their average precision, and how far that depends on the videos drawn."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.average_precision import Area, steps_of
from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.columns import pack
from hybridal_ray.evaluation.conventions import FRAME_THRESHOLDS, Convention
from hybridal_ray.evaluation.gathering import BoxHits, Comparison
from hybridal_ray.evaluation.matching import NONE, Pairs, match_ranked
from hybridal_ray.evaluation.pairing import tube_overlaps

STEPS = 256  # into which a ranking is cut for the bootstrap; a shorter one is cut into its detections
CONFIDENCE = (2.5, 97.5)  # percentiles of the resampled figures


@dataclass(frozen=True)
class Ranking:
    """The detections of one class, best first, and the ground truth there is to find.

    Attributes:
        videos: (n,), video of each detection.
        hits: (n, thresholds), whether it was matched.
        truth_videos: (t,), video of each ground truth.
    """

    videos: npt.NDArray[np.integer]
    hits: npt.NDArray[np.bool_]
    truth_videos: Indices

    def areas(self, area: Area) -> Floats:
        """Average precision at each threshold, (thresholds,); NaN without ground truth."""
        return np.array([area(*steps_of(hits), len(self.truth_videos)) for hits in self.hits.T])

    def resampled_areas(self, area: Area, draws: Floats) -> Floats:
        """Average precision had other videos been evaluated.

        Copies of a video rank side by side. The ranking is cut into `STEPS` equal parts, and within one the
        false detections come first, which makes the result exact where a part is one detection.

        Args:
            area: How to measure.
            draws: (draws, videos), how often each video is drawn.

        Returns:
            (draws, thresholds), NaN where no ground truth is drawn.
        """
        count = len(self.videos)
        steps = min(count, STEPS)
        involved, column = np.unique(self.videos, return_inverse=True)
        drawn = draws[:, involved].astype(np.float32)
        cells = column * steps + np.arange(count) * steps // max(count, 1)
        every = drawn @ _table(cells, len(involved), steps)
        num_truth = draws @ np.bincount(self.truth_videos, minlength=draws.shape[1])
        areas = []
        for hits in self.hits.T:
            found = drawn @ _table(cells[hits], len(involved), steps)
            areas.append(area(found, every - found, num_truth))
        return np.stack(areas, axis=1)


def draw_videos(num_videos: int, resamples: int, seed: int) -> Floats:
    """How often each video is drawn in each resample, (resamples, videos); each row sums to `num_videos`."""
    shares = np.full(num_videos, 1 / num_videos)
    return np.random.default_rng(seed).multinomial(num_videos, shares, size=resamples).astype(np.float64)


def box_ranking(comparison: Comparison, truth_videos: Indices, class_id: int, convention: Convention) -> Ranking:
    """The boxes of a class, with their hits at `FRAME_THRESHOLDS`."""
    boxes: BoxHits = comparison.boxes
    rows = boxes.rows_of(class_id)
    bits = boxes.hits[convention.plus_one, convention.best_of_all][rows]
    hits = (bits[:, None] >> np.arange(len(FRAME_THRESHOLDS), dtype=np.uint16) & 1).astype(bool)
    return Ranking(boxes.videos[rows], hits, truth_videos)


def match_tubes(comparison: Comparison, convention: Convention, thresholds: tuple[float, ...]) -> Indices:
    """Matches tubes of the same class in a video.

    Returns:
        (tubes, thresholds), the true tube that each was matched to, or `NONE`.
    """
    tubes, truth, pairs = comparison.tubes, comparison.true_tubes, comparison.tube_pairs
    ranking = tubes.ranking()
    rank = np.empty_like(ranking)
    rank[ranking] = np.arange(len(ranking))
    same = np.flatnonzero(tubes.classes[pairs.detections] == truth.classes[pairs.truth])
    same = same[np.lexsort((pairs.truth[same], rank[pairs.detections[same]]))]
    overlaps = tube_overlaps(pairs, tubes, truth, convention)
    groups = np.unique(pack(truth.videos, truth.classes), return_inverse=True)[1]
    candidates = Pairs(rank[pairs.detections[same]], pairs.truth[same], overlaps[same])
    by_rank = match_ranked(candidates, groups, len(tubes), thresholds, best_of_all=convention.best_of_all)
    return by_rank[rank]


def tube_ranking(comparison: Comparison, matched: Indices, class_id: int) -> Ranking:
    """The tubes of a class, with their hits as `match_tubes` matched them, at `TUBE_THRESHOLDS`."""
    tubes, truth = comparison.tubes, comparison.true_tubes
    rows = tubes.ranking()
    rows = rows[tubes.classes[rows] == class_id]
    return Ranking(tubes.videos[rows], matched[rows] != NONE, truth.videos[truth.classes == class_id])


def _table(cells: Indices, videos: int, steps: int) -> npt.NDArray[np.float32]:
    return np.bincount(cells, minlength=videos * steps).reshape(videos, steps).astype(np.float32)
