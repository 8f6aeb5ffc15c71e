"""Why the figures are what they are: kinds of errors, confusion of classes, calibration, and for whom they differ."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.calibration import reliability
from hybridal_ray.evaluation.conventions import STRICT
from hybridal_ray.evaluation.error_kinds import (
    RIGHT,
    THRESHOLD,
    Diagnosis,
    diagnose,
    error_gains,
    mean_over_classes_with_truth,
)
from hybridal_ray.evaluation.gathering import Comparison, Evidence
from hybridal_ray.evaluation.matching import NONE
from hybridal_ray.evaluation.metrics import best_classes, found_actors
from hybridal_ray.evaluation.pairing import Tubes

Analysis = dict[str, Any]
THIRDS = {
    "size": ("small", "medium", "large"),
    "motion": ("still", "slow", "fast"),
    "length": ("short", "medium", "long"),
}


def analyse(evidence: Evidence, classes: Sequence[str], clusters: Mapping[str, int] | None = None) -> Analysis:
    """Explains the video-mAP@0.5 under ``strict``.

    Args:
        evidence: What was gathered.
        classes: Class names.
        clusters: The scene cluster of each video, where there are some.

    Returns:
        ``errors`` (see `error_gains`), ``confusion`` (`confusion`), ``calibration`` (`calibration`), ``breakdowns``
        (`breakdowns`): plain values, ready for JSON.
    """
    comparison = evidence.by_class
    diagnosis = diagnose(comparison)
    return {
        "errors": error_gains(comparison, diagnosis, len(classes)),
        "confusion": confusion(evidence, classes),
        "calibration": calibration(evidence),
        "breakdowns": breakdowns(evidence, diagnosis, len(classes), clusters),
    }


def confusion(evidence: Evidence, classes: Sequence[str]) -> dict[str, Any]:
    """How often an actor of one class was taken for another, tubes matched whatever their class at tube IoU >= 0.5.

    Returns:
        ``classes``, and ``matrix``: (classes + 1, classes + 1), true class by predicted best class; the last column
        counts actors that were missed, the last row predicted tubes that are no actor.
    """
    nobody = len(classes)
    found, actors, said = found_actors(evidence)
    true_class = _first_classes(evidence.by_class.true_tubes)
    true = _classes_of(evidence.actors.true_tubes, true_class)
    best = _classes_of(evidence.actors.tubes, best_classes(evidence.by_class.tubes))
    rest = np.setdiff1d(np.arange(len(best)), found)
    missed = np.setdiff1d(np.arange(len(true)), actors)
    matrix = np.zeros((nobody + 1, nobody + 1), dtype=np.int64)
    np.add.at(matrix, (true[actors], said), 1)
    matrix[:, nobody] += np.bincount(true[missed], minlength=nobody + 1)
    matrix[nobody] += np.bincount(best[rest], minlength=nobody + 1)
    return {"classes": list(classes), "matrix": matrix.tolist()}


def calibration(evidence: Evidence) -> dict[str, Any]:
    """Reliability of two kinds of scores.

    Returns:
        ``class_scores``: of the actors found, the share of the best class in the sum of the tube's class scores
        against whether it is right. ``box_scores``: the score of every box against whether it was matched at IoU 0.5.
    """
    found, actors, said = found_actors(evidence)
    tubes, of_class = evidence.actors.tubes, evidence.by_class.tubes
    keys = zip(of_class.videos.tolist(), of_class.tubes.tolist(), of_class.classes.tolist(), strict=True)
    score = dict(zip(keys, of_class.scores.tolist(), strict=True))
    best = [
        score[video, tube, class_id]
        for video, tube, class_id in zip(tubes.videos[found].tolist(), tubes.tubes[found].tolist(), said, strict=True)
    ]
    total = tubes.scores[found]
    shares = np.divide(np.array(best), total, out=np.zeros(len(found)), where=total > 0)
    true = evidence.by_class.true_tubes
    known = set(zip(true.videos.tolist(), true.tubes.tolist(), true.classes.tolist(), strict=True))
    actor_tubes = evidence.actors.true_tubes
    claims = zip(actor_tubes.videos[actors].tolist(), actor_tubes.tubes[actors].tolist(), said.tolist(), strict=True)
    boxes = evidence.by_class.boxes
    box_hits = (boxes.hits[STRICT.plus_one, STRICT.best_of_all] & 1).astype(bool)
    return {
        "class_scores": reliability(
            np.minimum(shares, 1.0), np.array([claim in known for claim in claims], dtype=bool)
        ),
        "box_scores": reliability(boxes.scores, box_hits),
    }


def breakdowns(
    evidence: Evidence, diagnosis: Diagnosis, num_classes: int, clusters: Mapping[str, int] | None
) -> dict[str, list[dict[str, Any]]]:
    """Video-mAP@0.5 of some of the actors at a time: thirds by size, motion and length, and scene clusters.

    A tube that was matched to another actor is left out; one that was matched to none counts where it would itself
    belong by the same measure.

    Returns:
        By measure one dict a part: ``name``, ``from`` and ``to`` (bounds of the measure, None at the open ends),
        ``truth_tubes``, ``video_map@0.5``. Size is the mean side in pixels (square root of the area), motion the way
        between the first and the last centre in such sides, length the number of frames.
    """
    comparison = evidence.by_class
    tubes, truth = comparison.tubes, comparison.true_tubes
    result: dict[str, list[dict[str, Any]]] = {}
    for measure in THIRDS:
        values, own = _measure(truth, measure), _measure(tubes, measure)
        result[measure] = []
        for name, low, high in _thirds(values, measure):
            inside = ((some > low) & (some <= high) for some in (own, values))
            part = _part(comparison, diagnosis, num_classes, name, *inside)
            result[measure].append(part | {"from": _finite(low), "to": _finite(high)})
    if clusters:
        of_video = np.array([clusters.get(video_id, NONE) for video_id in evidence.video_ids])
        result["cluster"] = [
            _part(comparison, diagnosis, num_classes, str(k), of_video[tubes.videos] == k, of_video[truth.videos] == k)
            for k in sorted(set(of_video.tolist()) - {NONE})
        ]
    return {measure: [part for part in parts if part["truth_tubes"]] for measure, parts in result.items()}


def _thirds(values: Floats, measure: str) -> list[tuple[str, float, float]]:
    """Name and bounds (above, up to) of parts of about equal numbers; fewer than three where many values are equal."""
    first, middle, last = THIRDS[measure]
    inner = [bound for bound in np.unique(np.quantile(values, [1 / 3, 2 / 3])).tolist() if bound < values.max()]
    names = {0: ("all",), 1: (first, last), 2: (first, middle, last)}[len(inner)]
    return list(zip(names, [-np.inf, *inner], [*inner, np.inf], strict=True))


def _part(
    comparison: Comparison,
    diagnosis: Diagnosis,
    num_classes: int,
    name: str,
    tubes_inside: npt.NDArray[np.bool_],
    truth_inside: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    tubes, truth = comparison.tubes, comparison.true_tubes
    right = diagnosis.kinds == RIGHT
    counted = np.where(right, truth_inside[np.where(right, diagnosis.targets, 0)], tubes_inside)
    order = tubes.ranking()
    order = order[counted[order]]
    mean = mean_over_classes_with_truth(
        tubes.classes[order],
        right[order],
        tubes.videos[order],
        truth.classes[truth_inside],
        truth.videos[truth_inside],
        num_classes,
    )
    return {"name": name, "truth_tubes": int(truth_inside.sum()), f"video_map@{THRESHOLD}": mean}


def _measure(tubes: Tubes, measure: str) -> Floats:
    if measure == "size":
        return tubes.sides
    if measure == "motion":
        return tubes.travel / np.maximum(tubes.sides, 1e-9)
    return tubes.lengths.astype(np.float64)


def _first_classes(tubes: Tubes) -> Mapping[tuple[int, int], int]:
    """The lowest class by video and tube."""
    keys = zip(tubes.videos[::-1].tolist(), tubes.tubes[::-1].tolist(), strict=True)
    return dict(zip(keys, tubes.classes[::-1].tolist(), strict=True))


def _classes_of(tubes: Tubes, classes: Mapping[tuple[int, int], int]) -> Indices:
    keys = zip(tubes.videos.tolist(), tubes.tubes.tolist(), strict=True)
    return np.array([classes[key] for key in keys], dtype=np.int64)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
