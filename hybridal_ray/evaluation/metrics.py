"""Frame-mAP and video-mAP under the convention ``strict``, from a table of predictions.

The convention: boxes without the +1 pixel; all-point average precision under the precision envelope; a detection
is matched to the best ground truth that is left, at IoU >= t; classes without ground truth are skipped; every
frame of every evaluated video counts, so a detection on a frame without actors is false.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hybridal_ray.evaluation.average_precision import average_precision
from hybridal_ray.evaluation.boxes import Floats
from hybridal_ray.evaluation.columns import (
    BoxColumns,
    TubeColumns,
    group_tubes,
    merge_classes,
    prediction_columns,
    truth_columns,
)
from hybridal_ray.evaluation.matching import NONE, Candidates, frame_candidates, match_ranked, tube_candidates

# Figures under their names; a figure that is undefined (no ground truth of a class, no tube matched) is None.
Metrics = dict[str, Any]

FRAME_THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
TUBE_THRESHOLDS = (0.2, 0.5)
CLASS_ACCURACY_THRESHOLD = 0.5


def evaluate_predictions(
    predictions: pa.Table, truth: pa.Table, video_ids: Sequence[str], classes: Sequence[str]
) -> Metrics:
    """Computes every metric of the convention ``strict``.

    Args:
        predictions: Table of `PREDICTIONS_SCHEMA`; rows of other videos are ignored.
        truth: Table of `TUBES_SCHEMA`, every frame of the videos annotated; rows of other videos are ignored.
        video_ids: The videos evaluated; one without predictions counts as missed.
        classes: Class names; a class id is an index into them.

    Returns:
        ``frame_map@0.5``, ``frame_map@0.5:0.95`` (mean over thresholds in steps of 0.05), ``video_map@0.2``,
        ``video_map@0.5``: means over the classes that have ground truth. ``frame_ap_localisation@0.5``: frame-AP
        with all classes made one. ``tube_class_accuracy``: see `tube_class_accuracy`. ``videos``,
        ``truth_boxes``, ``truth_tubes``: counts. ``per_class``: for each class ``frame_ap@0.5``,
        ``video_ap@0.2``, ``video_ap@0.5`` (None without ground truth), ``truth_boxes``, ``truth_tubes``.

    Raises:
        UserError: The videos have no ground truth at all, or a table holds impossible values.
    """
    predicted = prediction_columns(predictions, video_ids, len(classes))
    true = truth_columns(truth, video_ids, len(classes))
    predicted_tubes, true_tubes = group_tubes(predicted), group_tubes(true)
    frame_ap = np.full((len(classes), len(FRAME_THRESHOLDS)), np.nan)
    video_ap = np.full((len(classes), len(TUBE_THRESHOLDS)), np.nan)
    for class_id in np.unique(true.classes):
        frame_ap[class_id] = frame_average_precision(
            predicted.take(predicted.classes == class_id), true.take(true.classes == class_id), FRAME_THRESHOLDS
        )
        video_ap[class_id] = video_average_precision(
            predicted_tubes.take(np.flatnonzero(predicted_tubes.classes == class_id)),
            true_tubes.take(np.flatnonzero(true_tubes.classes == class_id)),
            TUBE_THRESHOLDS,
        )
    localisation = frame_average_precision(merge_classes(predicted), merge_classes(true), (0.5,))
    return {
        "frame_map@0.5": float(np.nanmean(frame_ap[:, 0])),
        "frame_map@0.5:0.95": float(np.nanmean(frame_ap)),
        **{f"video_map@{t}": float(np.nanmean(video_ap[:, k])) for k, t in enumerate(TUBE_THRESHOLDS)},
        "frame_ap_localisation@0.5": float(localisation[0]),
        "tube_class_accuracy": tube_class_accuracy(predicted, true),
        "videos": len(set(video_ids)),
        "truth_boxes": len(true),
        "truth_tubes": len(true_tubes),
        "per_class": {
            name: {
                "frame_ap@0.5": _or_none(frame_ap[class_id, 0]),
                **{f"video_ap@{t}": _or_none(video_ap[class_id, k]) for k, t in enumerate(TUBE_THRESHOLDS)},
                "truth_boxes": int(np.sum(true.classes == class_id)),
                "truth_tubes": int(np.sum(true_tubes.classes == class_id)),
            }
            for class_id, name in enumerate(classes)
        },
    }


def frame_average_precision(predicted: BoxColumns, true: BoxColumns, thresholds: Sequence[float]) -> Floats:
    """Average precision of boxes, whatever class they name, at each threshold, (thresholds,)."""
    return _average_precisions(frame_candidates(predicted.ranked(), true), len(true), thresholds)


def video_average_precision(predicted: TubeColumns, true: TubeColumns, thresholds: Sequence[float]) -> Floats:
    """Average precision of tubes, whatever class they name, at each threshold, (thresholds,)."""
    return _average_precisions(tube_candidates(predicted.ranked(), true), len(true), thresholds)


def tube_class_accuracy(predicted: BoxColumns, true: BoxColumns) -> float | None:
    """Of the actors found, the share whose class is right.

    Tubes are matched whatever their class at tube IoU >= 0.5, best summed score first. A match is right when
    the class with the best score of the predicted tube is a class of the true one.

    Returns:
        In [0, 1], or None when no tube was matched.
    """
    found = group_tubes(merge_classes(predicted)).ranked()
    actors = group_tubes(merge_classes(true))
    matched = match_ranked(tube_candidates(found, actors), (CLASS_ACCURACY_THRESHOLD,))[:, 0]
    hits = np.flatnonzero(matched != NONE)
    if not len(hits):
        return None
    scored = group_tubes(predicted)
    ascending = np.lexsort((-scored.classes, scored.scores))
    best_class = {
        (scored.videos[row], scored.tubes[row]): scored.classes[row] for row in ascending
    }  # the last one written is the best; of equal scores, the lowest class
    true_classes = set(zip(true.videos, true.tubes, true.classes, strict=True))
    right = [
        (actors.videos[actor], actors.tubes[actor], best_class[found.videos[row], found.tubes[row]]) in true_classes
        for row, actor in zip(hits, matched[hits], strict=True)
    ]
    return float(np.mean(right))


def _average_precisions(candidates: Candidates, num_truth: int, thresholds: Sequence[float]) -> Floats:
    matched = match_ranked(candidates, thresholds) != NONE
    return np.array([average_precision(column, num_truth) for column in matched.T])


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
