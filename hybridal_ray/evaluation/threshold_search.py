"""A search for the thresholds from maps to tubes. It looks at the validation split and at nothing else."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hybridal_ray.detectors.checkpoint import choose_device, load_detector
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.columns import truth_columns
from hybridal_ray.evaluation.detecting import DetectionSettings, prediction_rows, video_maps
from hybridal_ray.evaluation.metric_names import check_metrics
from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import Video

SPLIT = "val"
METRIC = "video_map@0.5"
GRID: Mapping[str, Sequence[Any]] = {
    "mask_threshold": (0.3, 0.4, 0.5, 0.6),
    "link_iou": (0.1, 0.3),
    "trim": (0.0, 0.5, 0.8),
}


@dataclass(frozen=True)
class Trial:
    """Some settings and what they reach.

    Attributes:
        settings: All thresholds.
        value: Of the metric, in [0, 1].
    """

    settings: DetectionSettings
    value: float


def search_thresholds(
    videos: Sequence[Video],
    truth: pa.Table,
    classes: Sequence[str],
    checkpoint_dir: str,
    *,
    labelled: Mapping[str, Sequence[int]] | None = None,
    base: DetectionSettings,
    grid: Mapping[str, Sequence[Any]] = GRID,
    metric: str = METRIC,
    device: str = "auto",
    batch_clips: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> list[Trial]:
    """Tries every combination of a grid; the detector sees each video once.

    Args:
        videos: Of the validation split.
        truth: Table of `TUBES_SCHEMA`.
        classes: Class names.
        checkpoint_dir: Written by `save_detector`.
        labelled: Frames that somebody labelled, by video; None is all of all.
        base: The settings that the grid does not name.
        grid: Values by field of `DetectionSettings`.
        metric: What decides, higher is better: a name of `hybridal_ray.evaluation.metrics.figures`.
        device: ``auto``, ``cpu`` or ``cuda``.
        batch_clips: Clips run at once.
        progress: Called with the videos done and all videos.

    Returns:
        The trials, best first; of equals the earlier of the grid.

    Raises:
        UserError: A video is of another split (thresholds fitted to the test split would falsify its figures), a
            field is none of the settings, the metric is not known, or the videos have no ground truth.
    """
    foreign = next((video for video in videos if video.split != SPLIT), None)
    if foreign is not None:
        raise UserError(
            f"{foreign.video_id} is of the split {foreign.split!r}: thresholds are searched on {SPLIT!r} alone"
        )
    ids = [video.video_id for video in videos]
    check_metrics([metric], "metric")
    truth_columns(truth, ids, len(classes))  # which is refused now, not after the pass, where there is none
    candidates = list(_candidates(base, grid))
    tables: list[list[pa.Table]] = [[] for _ in candidates]
    place = choose_device(device)
    loaded = load_detector(checkpoint_dir, place)
    for number, video in enumerate(videos):
        try:
            maps = list(video_maps(loaded.detector, loaded.spec, video, device=place, batch_clips=batch_clips))
        except UnreadableVideo:
            maps = []  # as in evaluation, its tubes count as missed
        for candidate, found in zip(candidates, tables, strict=True):
            found.append(pa.Table.from_pylist(prediction_rows(maps, video, candidate), PREDICTIONS_SCHEMA))
        if progress is not None:
            progress(number + 1, len(videos))
    trials = []
    for candidate, found in zip(candidates, tables, strict=True):
        metrics = evaluate_predictions(pa.concat_tables(found), truth, ids, classes, labelled=labelled, resamples=0)
        trials.append(Trial(candidate, metrics[metric] or 0.0))  # None, of no actor found, is the worst
    return sorted(trials, key=lambda trial: -trial.value)


def _candidates(base: DetectionSettings, grid: Mapping[str, Sequence[Any]]) -> Iterator[DetectionSettings]:
    known = {field.name for field in dataclasses.fields(DetectionSettings)}
    wrong = next((field for field in grid if field not in known), None)
    if wrong is not None:
        raise UserError(f"{wrong}: no such setting, expected one of {', '.join(sorted(known))}")
    for values in itertools.product(*grid.values()):
        yield dataclasses.replace(base, **dict(zip(grid, values, strict=True)))
