"""What is wrong with the tubes that were not matched, and how much mending each kind of error would gain.

After Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV 2020, with the error of
place split into space and time: a tube IoU is the product of the two, so each suffices from the square root of the
threshold.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.conventions import STRICT
from hybridal_ray.evaluation.gathering import Comparison
from hybridal_ray.evaluation.matching import NONE
from hybridal_ray.evaluation.metrics import best_classes
from hybridal_ray.evaluation.pairing import Tubes, temporal_overlaps, tube_overlaps
from hybridal_ray.evaluation.ranking import Ranking, match_tubes

THRESHOLD = 0.5
BACKGROUND_IOU = 0.1  # a tube that overlaps no actor by as much has found none
RIGHT = "right"
MOVED = ("class", "space", "time", "space_and_time")  # mended by moving: to another class, or to the right place
DROPPED = ("class_and_place", "duplicate", "background")  # mended by dropping
KINDS = (*MOVED, *DROPPED, "missed")
_NAMES = (RIGHT, *MOVED, *DROPPED)


@dataclass(frozen=True)
class Diagnosis:
    """What each predicted tube is, a row a tube and class: a tube that hesitates is ranked under several.

    Attributes:
        kinds: (rows,), ``right`` or one of `KINDS`.
        targets: (rows,), the true tube it was matched to, or that it has wrong; `NONE` for background.
        best: (rows,), whether it is the row of its tube's best class, one a tube.
        missed: (true tubes,), whether no match goes back to it, and no error of class or place by a tube's best class.
    """

    kinds: npt.NDArray[np.str_]
    targets: Indices
    best: npt.NDArray[np.bool_]
    missed: npt.NDArray[np.bool_]


def diagnose(comparison: Comparison, threshold: float = THRESHOLD) -> Diagnosis:
    """Tells for every predicted tube whether it was matched under ``strict``, and if not, why.

    Args:
        comparison: With classes.
        threshold: Tube IoU of a match.
    """
    tubes, truth, pairs = comparison.tubes, comparison.true_tubes, comparison.tube_pairs
    matched = match_tubes(comparison, STRICT, (threshold,))[:, 0]
    overlaps = tube_overlaps(pairs, tubes, truth, STRICT)
    same = tubes.classes[pairs.detections] == truth.classes[pairs.truth]
    enough = np.sqrt(threshold)
    in_time = temporal_overlaps(pairs, tubes, truth, STRICT.temporal) >= enough
    in_space = pairs.spatial[STRICT.plus_one] >= enough
    near = overlaps >= threshold
    far = ~near & (overlaps >= BACKGROUND_IOU)
    kind_of_pair = np.select(
        [near & same, near, far & same & in_time, far & same & in_space, far & same, far],
        ["duplicate", "class", "space", "time", "space_and_time", "class_and_place"],
        "background",
    )
    kinds = np.full(len(tubes), "background", dtype=f"<U{max(map(len, _NAMES))}")
    targets = np.full(len(tubes), NONE, dtype=np.int64)
    # The pair that says most is written last: a near one before a far one, the right class before another.
    order = np.lexsort((overlaps, same, near, near | far))
    order = order[(near | far)[order]]
    kinds[pairs.detections[order]] = kind_of_pair[order]
    targets[pairs.detections[order]] = pairs.truth[order]
    found = matched != NONE
    kinds[found], targets[found] = RIGHT, matched[found]
    best = _of_best_class(tubes)
    told = targets[found | best & np.isin(kinds, MOVED)]
    missed = ~np.isin(np.arange(len(truth)), told)
    return Diagnosis(kinds, targets, best, missed)


def error_gains(comparison: Comparison, diagnosis: Diagnosis, num_classes: int) -> dict[str, Any]:
    """How many tubes have each error, and what video-mAP would gain if it were mended, all others left.

    A tube counts once, by its best class; the gains are of all classes that it is ranked under, as video-mAP is. A
    tube moved to an actor that another tube has, or that a better one is moved to, is dropped. Gains do not add up.

    Returns:
        ``video_map@0.5`` as it is, and ``kinds``: by kind ``count`` and ``gain``.
    """
    base = _mean_average_precision(comparison, diagnosis, num_classes, mended=None)
    counts = {kind: int(np.sum(diagnosis.kinds[diagnosis.best] == kind)) for kind in (*MOVED, *DROPPED)}
    counts["missed"] = int(diagnosis.missed.sum())
    return {
        f"video_map@{THRESHOLD}": base,
        "kinds": {
            kind: {
                "count": counts[kind],
                "gain": _mean_average_precision(comparison, diagnosis, num_classes, mended=kind) - base,
            }
            for kind in KINDS
        },
    }


def _of_best_class(tubes: Tubes) -> npt.NDArray[np.bool_]:
    best = best_classes(tubes)
    rows = zip(tubes.videos.tolist(), tubes.tubes.tolist(), tubes.classes.tolist(), strict=True)
    return np.array([best[video, tube] == class_id for video, tube, class_id in rows], dtype=bool)


def _mean_average_precision(
    comparison: Comparison, diagnosis: Diagnosis, num_classes: int, *, mended: str | None
) -> float:
    tubes, truth = comparison.tubes, comparison.true_tubes
    hits, classes = diagnosis.kinds == RIGHT, tubes.classes.copy()
    kept = np.ones(len(tubes), dtype=bool)
    concerned = np.flatnonzero(diagnosis.kinds == mended)
    if mended in MOVED:
        taken = set(diagnosis.targets[hits].tolist())
        rank = np.empty(len(tubes), dtype=np.int64)
        rank[tubes.ranking()] = np.arange(len(tubes))
        for row in concerned[np.argsort(rank[concerned])].tolist():
            target = int(diagnosis.targets[row])
            kept[row] = hits[row] = target not in taken
            classes[row] = truth.classes[target]
            taken.add(target)
    else:
        kept[concerned] = False
    counted = ~diagnosis.missed if mended == "missed" else np.ones(len(truth), dtype=bool)
    order = tubes.ranking()
    order = order[kept[order]]
    return mean_over_classes_with_truth(
        classes[order], hits[order], tubes.videos[order], truth.classes[counted], truth.videos[counted], num_classes
    )


def mean_over_classes_with_truth(
    classes: Indices,
    hits: npt.NDArray[np.bool_],
    videos: Indices,
    truth_classes: Indices,
    truth_videos: Indices,
    num_classes: int,
) -> float:
    """Mean average precision under ``strict`` of ranked detections; 0 where there is no ground truth."""
    areas: list[Floats] = []
    for class_id in range(num_classes):
        own, true = classes == class_id, truth_classes == class_id
        if true.any():
            areas.append(Ranking(videos[own], hits[own][:, None], truth_videos[true]).areas(STRICT.area))
    return float(np.mean(areas)) if areas else 0.0
