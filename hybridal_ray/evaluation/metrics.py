"""Every figure of the field from one table of predictions, each under the name of its convention."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hybridal_ray.evaluation.boxes import Floats, Indices
from hybridal_ray.evaluation.columns import LabelledFrames, LabelledRows, prediction_batches, truth_columns
from hybridal_ray.evaluation.conventions import (
    CAPSNET,
    CONVENTIONS,
    FRAME_THRESHOLDS,
    STRICT,
    TUBE_THRESHOLDS,
    Convention,
)
from hybridal_ray.evaluation.gathering import Evidence, gather
from hybridal_ray.evaluation.mask_shares import MaskShares
from hybridal_ray.evaluation.matching import NONE
from hybridal_ray.evaluation.pairing import Tubes
from hybridal_ray.evaluation.ranking import (
    CONFIDENCE,
    Ranking,
    box_ranking,
    draw_videos,
    match_tubes,
    tube_ranking,
)

# Figures under their names; a figure that is undefined (no ground truth of a class, no tube matched) is None.
Metrics = dict[str, Any]
# By name of the figure: of each class, and of each class in each resample.
Figures = dict[str, tuple[Floats, Floats]]

RESAMPLES = 200
CLASS_ACCURACY_THRESHOLD = 0.5
_FRAME = {"frame_{}@0.5": [0], "frame_{}@0.5:0.95": list(range(len(FRAME_THRESHOLDS)))}
_VIDEO = {
    **{f"video_{{}}@{t}": [TUBE_THRESHOLDS.index(t)] for t in (0.2, 0.5, 0.75)},
    "video_{}@0.5:0.95": [TUBE_THRESHOLDS.index(t) for t in FRAME_THRESHOLDS],
}


def evaluate_predictions(
    predictions: pa.Table | Iterable[pa.Table],
    truth: pa.Table,
    video_ids: Sequence[str],
    classes: Sequence[str],
    *,
    labelled: LabelledFrames | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Computes every metric of every convention; arguments, result and errors as in `gather_evidence` and `figures`."""
    evidence = gather_evidence(predictions, truth, video_ids, classes, labelled=labelled)
    return figures(evidence, classes, resamples=resamples, seed=seed)


def gather_evidence(
    predictions: pa.Table | Iterable[pa.Table],
    truth: pa.Table,
    video_ids: Sequence[str],
    classes: Sequence[str],
    *,
    labelled: LabelledFrames | None = None,
) -> Evidence:
    """Compares predictions with the truth.

    Args:
        predictions: Tables of `PREDICTIONS_SCHEMA`, each video's rows in one; rows of other videos are ignored.
        truth: Table of `TUBES_SCHEMA`; rows of other videos are ignored.
        video_ids: The videos evaluated; one without predictions counts as missed.
        classes: Class names; a class id is an index into them.
        labelled: The labelled frames of sparsely labelled videos; what is predicted on others does not count. Of
            videos that it does not name, every frame is labelled.

    Raises:
        UserError: The videos have no ground truth at all, or a table holds impossible values.
    """
    ids = sorted(set(video_ids))
    rows = LabelledRows(labelled, ids)
    true = truth_columns(truth, ids, len(classes), rows)
    tables = [predictions] if isinstance(predictions, pa.Table) else predictions
    return gather(prediction_batches(tables, ids, len(classes), rows), true, ids)


def figures(evidence: Evidence, classes: Sequence[str], *, resamples: int = RESAMPLES, seed: int = 0) -> Metrics:
    """Computes every metric of every convention.

    Args:
        evidence: What was gathered.
        classes: Class names.
        resamples: Bootstrap resamples of the videos behind each interval; 0 leaves the intervals out.
        seed: Of the resamples.

    Returns:
        For each convention ``<convention>/frame_map@0.5``, ``…/frame_map@0.5:0.95`` (mean over thresholds in steps
        of 0.05), ``…/video_map@0.2``, ``@0.5``, ``@0.75`` and ``@0.5:0.95``: means over the classes that count. The
        figures of ``strict`` are there without its name too. ``frame_ap_localisation@0.5``: frame-AP with all
        classes made one. ``tube_class_accuracy``: see `tube_class_accuracy`. ``videos``, ``truth_boxes``,
        ``truth_tubes``: counts. ``intervals``: by name, the 95 % interval over resampled videos. ``per_class``: for
        each class ``frame_ap@0.5`` and so on of ``strict`` (None without ground truth), ``truth_boxes``,
        ``truth_tubes``, ``conventions`` with the figures of the others, and ``intervals``.
    """
    draws = draw_videos(len(evidence.video_ids), resamples, seed)
    by_convention: dict[str, Figures] = {}
    frame_figures: dict[tuple[Any, ...], Figures] = {}
    for convention in CONVENTIONS:
        choices = (convention.plus_one, convention.best_of_all, convention.area, convention.absent_class)
        if choices not in frame_figures:
            frame_figures[choices] = _of_frames(evidence, convention, len(classes), draws)
        by_convention[convention.name] = frame_figures[choices] | _of_videos(evidence, convention, len(classes), draws)
    by_convention[CAPSNET] = _shares(evidence.shares, len(classes), draws)
    overall: Metrics = {}
    intervals: dict[str, list[float] | None] = {}
    for name, of_classes in by_convention.items():
        for figure, (values, resampled) in of_classes.items():
            key = f"{name}/{figure.format('map')}"
            overall[key] = _mean_over_classes(values).item()
            intervals[key] = _interval(_mean_over_classes(resampled))
    strict = {key.removeprefix("strict/"): value for key, value in overall.items() if key.startswith("strict/")}
    return {
        **overall,
        **strict,
        "frame_ap_localisation@0.5": _localisation(evidence),
        "tube_class_accuracy": tube_class_accuracy(evidence),
        "videos": len(evidence.video_ids),
        "truth_boxes": len(evidence.true),
        "truth_tubes": len(evidence.by_class.true_tubes),
        "intervals": intervals if resamples else {},
        "per_class": {
            name: _of_class(evidence, by_convention, class_id, resamples) for class_id, name in enumerate(classes)
        },
    }


def tube_class_accuracy(evidence: Evidence) -> float | None:
    """Of the actors found, the share whose class is right.

    Tubes are matched whatever their class at tube IoU >= 0.5, best summed score first. A match is right when
    the class with the best score of the predicted tube is a class of the true one.

    Returns:
        In [0, 1], or None when no tube was matched.
    """
    found, actors, classes = found_actors(evidence)
    if not len(found):
        return None
    true = evidence.by_class.true_tubes
    true_classes = set(zip(true.videos.tolist(), true.tubes.tolist(), true.classes.tolist(), strict=True))
    true_actors = evidence.actors.true_tubes
    keys = zip(true_actors.videos[actors].tolist(), true_actors.tubes[actors].tolist(), classes.tolist(), strict=True)
    return float(np.mean([key in true_classes for key in keys]))


def found_actors(evidence: Evidence) -> tuple[Indices, Indices, Indices]:
    """The predicted actors that were matched, whatever their class, at tube IoU >= 0.5.

    Returns:
        (f,) their rows in ``actors.tubes``; (f,) the rows of the true ones in ``actors.true_tubes``; (f,) the
        class of best score of each, of equal scores the lowest.
    """
    matched = match_tubes(evidence.actors, STRICT, (CLASS_ACCURACY_THRESHOLD,))[:, 0]
    found = np.flatnonzero(matched != NONE)
    best = best_classes(evidence.by_class.tubes)
    tubes = evidence.actors.tubes
    keys = zip(tubes.videos[found].tolist(), tubes.tubes[found].tolist(), strict=True)
    return found, matched[found], np.array([best[key] for key in keys], dtype=np.int64)


def best_classes(tubes: Tubes) -> Mapping[tuple[int, int], int]:
    """The class of best score by video and tube; of equal scores, the lowest class."""
    ascending = np.lexsort((-tubes.classes, tubes.scores))
    keys = zip(tubes.videos[ascending].tolist(), tubes.tubes[ascending].tolist(), strict=True)
    return dict(zip(keys, tubes.classes[ascending].tolist(), strict=True))  # the last one written is the best


def _localisation(evidence: Evidence) -> float:
    """Frame-AP at IoU 0.5 with all classes made one."""
    true_tubes = evidence.actors.true_tubes
    truth_videos = np.repeat(true_tubes.videos, true_tubes.lengths)
    return float(box_ranking(evidence.actors, truth_videos, 0, STRICT).areas(STRICT.area)[0])


def _of_frames(evidence: Evidence, convention: Convention, num_classes: int, draws: Floats) -> Figures:
    true = evidence.true
    rankings = (
        box_ranking(evidence.by_class, true.videos[true.classes == class_id], class_id, convention)
        for class_id in range(num_classes)
    )
    return _measure(rankings, convention, draws, _FRAME)


def _of_videos(evidence: Evidence, convention: Convention, num_classes: int, draws: Floats) -> Figures:
    if not convention.tubes:
        return {}
    matched = match_tubes(evidence.by_class, convention, TUBE_THRESHOLDS)
    rankings = (tube_ranking(evidence.by_class, matched, class_id) for class_id in range(num_classes))
    return _measure(rankings, convention, draws, _VIDEO)


def _measure(
    rankings: Iterable[Ranking], convention: Convention, draws: Floats, wanted: Mapping[str, list[int]]
) -> Figures:
    absent_class = np.nan if convention.absent_class is None else convention.absent_class
    values, resampled = [], []
    for ranking in rankings:
        exists = len(ranking.truth_videos) > 0
        values.append(ranking.areas(convention.area) if exists else np.full(ranking.hits.shape[1], absent_class))
        # A class whose videos are just not drawn is no class without truth: a resample leaves it out, as NaN.
        absent = np.full((len(draws), ranking.hits.shape[1]), absent_class)
        resampled.append(ranking.resampled_areas(convention.area, draws) if exists and len(draws) else absent)
    areas, drawn = np.stack(values), np.stack(resampled)
    return {name: (areas[:, at].mean(axis=1), drawn[:, :, at].mean(axis=2).T) for name, at in wanted.items()}


def _shares(shares: MaskShares, num_classes: int, draws: Floats) -> Figures:
    """The figures of `capsnet`."""
    found: Figures = {}
    weights = np.concatenate([np.ones((1, draws.shape[1])), draws])[:, shares.videos]
    of_class = (shares.classes[:, None] == np.arange(num_classes)).astype(np.float64)
    frames = (weights * shares.frames) @ of_class
    reached = [(weights * shares.hits[:, k]) @ of_class for k in range(len(FRAME_THRESHOLDS))]
    videos = weights @ of_class
    good = [(weights * (shares.overlaps >= threshold)) @ of_class for threshold in TUBE_THRESHOLDS]
    for wanted, parts, whole in ((_FRAME, reached, frames), (_VIDEO, good, videos)):
        share = [np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0) for part in parts]
        for name, at in wanted.items():
            mean = np.mean([share[k] for k in at], axis=0)
            found[name] = (mean[0], mean[1:])
    return found


def _of_class(evidence: Evidence, by_convention: Mapping[str, Figures], class_id: int, resamples: int) -> Metrics:
    values = {
        convention: {name.format("ap"): _or_none(each[class_id]) for name, (each, _) in of_classes.items()}
        for convention, of_classes in by_convention.items()
    }
    intervals = {
        f"{convention}/{name.format('ap')}": _interval(resampled[:, class_id])
        for convention, of_classes in by_convention.items()
        for name, (_, resampled) in of_classes.items()
        if resamples
    }
    return {
        **values.pop("strict"),
        "conventions": values,
        "intervals": intervals,
        "truth_boxes": int(np.sum(evidence.true.classes == class_id)),
        "truth_tubes": int(np.sum(evidence.by_class.true_tubes.classes == class_id)),
    }


def _mean_over_classes(values: Floats) -> Floats:
    """Over the last axis, without classes that have no value; NaN where none has."""
    counts = np.isfinite(values).sum(axis=-1)
    return np.divide(np.nansum(values, axis=-1), counts, out=np.full(counts.shape, np.nan), where=counts > 0)


def _interval(resampled: Floats) -> list[float] | None:
    known = resampled[np.isfinite(resampled)]
    return [float(bound) for bound in np.percentile(known, CONFIDENCE)] if len(known) else None


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
