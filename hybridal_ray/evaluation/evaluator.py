"""Evaluating a checkpoint on Ray actors: the stage's edge, thin over `hybridal_ray.dispatch`."""

import functools
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from hybridal_ray.chunks import read_parts
from hybridal_ray.detectors.checkpoint import choose_device, load_detector
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.dispatch import ActorPlan, PassSummary, Progress, refuse_total_failure, run_over_videos
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.analysis import analyse
from hybridal_ray.evaluation.clip_merging import Maps
from hybridal_ray.evaluation.columns import LabelledFrames, truth_columns
from hybridal_ray.evaluation.detecting import DetectionSettings, detect_video
from hybridal_ray.evaluation.metrics import RESAMPLES, Metrics, figures, gather_evidence
from hybridal_ray.evaluation.prediction_files import prediction_tables
from hybridal_ray.evaluation.scenes import nearest_centre, read_scenes, write_scenes
from hybridal_ray.pool import storage
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import Video


def evaluate_checkpoint(
    videos: Sequence[Video],
    truth: pa.Table,
    classes: Sequence[str],
    checkpoint_dir: str,
    out_dir: str,
    *,
    settings: DetectionSettings,
    plan: ActorPlan,
    batch_clips: int = 8,
    feature_cache: str | None = None,
    resamples: int = RESAMPLES,
    labelled: LabelledFrames | None = None,
    progress: Progress | None = None,
) -> Metrics:
    """Detects on every video and compares with the truth.

    Predictions go to ``out_dir/predictions/`` part by part, so that a pass that was cut off goes on where it
    stopped; the metrics go to ``out_dir/metrics.json``, why they are what they are to ``out_dir/analysis.json``. A
    video that cannot be decoded has no predictions: its tubes count as missed.

    Args:
        videos: The videos to evaluate on.
        truth: Table of `TUBES_SCHEMA`; rows of other videos are ignored. It stays here: actors never see it.
        classes: Class names; a class id is an index into them.
        checkpoint_dir: Written by `save_detector`; every actor reads it once.
        out_dir: Path or URI.
        settings: Thresholds from maps to tubes.
        plan: Who does it.
        batch_clips: Clips run at once.
        feature_cache: Where features of the encoder are kept between rounds, path or URI; None keeps none.
        resamples: Bootstrap draws of the videos behind the intervals; 0 leaves them out.
        labelled: The labelled frames of sparsely labelled videos, see `gather_evidence`.
        progress: Called with the videos done and all videos.

    Returns:
        The metrics of `figures`, with ``failures``: the reason by id of each video that failed.

    Raises:
        UserError: The truth is empty or impossible, the checkpoint does not fit `classes`, every
            video failed; or see `run_over_videos`.
    """
    video_ids = [video.video_id for video in videos]
    truth_columns(truth, video_ids, len(classes))  # refused now, not after the pass
    predictions_dir, scenes_dir = storage.join(out_dir, "predictions"), storage.join(out_dir, "scenes")
    summary = detect_videos(
        videos,
        checkpoint_dir,
        predictions_dir,
        num_classes=len(classes),
        settings=settings,
        plan=plan,
        batch_clips=batch_clips,
        feature_cache=feature_cache,
        scenes_dir=scenes_dir,
        progress=progress,
    )
    evidence = gather_evidence(prediction_tables(predictions_dir), truth, video_ids, classes, labelled=labelled)
    metrics = figures(evidence, classes, resamples=resamples) | {"failures": summary.failed}
    storage.write_json(storage.join(out_dir, "analysis.json"), analyse(evidence, classes, read_scenes(scenes_dir)))
    storage.write_json(storage.join(out_dir, "metrics.json"), metrics)
    return metrics


def detect_videos(
    videos: Sequence[Video],
    checkpoint_dir: str,
    predictions_dir: str,
    *,
    num_classes: int | None,
    settings: DetectionSettings,
    plan: ActorPlan,
    batch_clips: int = 8,
    feature_cache: str | None = None,
    scenes_dir: str | None = None,
    progress: Progress | None = None,
) -> PassSummary:
    """Detects on every video and leaves the rows in part files of a directory.

    Args:
        videos: Each id once.
        checkpoint_dir: Written by `save_detector`.
        predictions_dir: Path or URI, of this pass alone.
        num_classes: What the detector must know; None takes it as it is.
        settings: Thresholds from maps to tubes.
        plan: Who does it.
        batch_clips: Clips run at once.
        feature_cache: As in `evaluate_checkpoint`.
        scenes_dir: Gets the scene cluster of each video, see `read_scenes`, where the detector has centres.
        progress: Called with the videos done and all videos.

    Raises:
        UserError: The detector knows another number of classes, every video failed; or see `run_over_videos`.
    """
    summary = run_over_videos(
        videos,
        functools.partial(
            _DetectionWorker, checkpoint_dir, num_classes, settings, plan.device, batch_clips, feature_cache, scenes_dir
        ),
        predictions_dir,
        error_row=_no_row,
        schema=PREDICTIONS_SCHEMA,
        plan=plan,
        progress=progress,
    )
    refuse_total_failure(summary, predictions_dir)
    return summary


def read_predictions(out_dir: str) -> pa.Table:
    """What `evaluate_checkpoint` predicted (`PREDICTIONS_SCHEMA`), by video, tube, class and frame."""
    keys = ("video_id", "tube_id", "class_id", "frame")
    parts = read_parts(storage.join(out_dir, "predictions"), PREDICTIONS_SCHEMA)
    return parts.sort_by([(key, "ascending") for key in keys])


def _no_row(video: Video, reason: str) -> None:
    """A video that failed leaves no prediction; the dispatcher keeps the reason."""


class _DetectionWorker:
    """Loads the detector once, and detects on the videos it is given."""

    def __init__(
        self,
        checkpoint_dir: str,
        num_classes: int | None,
        settings: DetectionSettings,
        device: str,
        batch_clips: int,
        feature_cache: str | None,
        scenes_dir: str | None,
    ) -> None:
        self._device = choose_device(device)
        loaded = load_detector(checkpoint_dir, self._device)
        if num_classes not in (None, loaded.spec.num_classes):
            raise UserError(
                f"{checkpoint_dir}: the detector knows {loaded.spec.num_classes} classes, expected the {num_classes} "
                "of the pool"
            )
        self._detector, self._spec = loaded.detector, loaded.spec
        self._centres, self._scenes_dir = loaded.centres, scenes_dir
        self._settings, self._batch_clips = settings, batch_clips
        self._cache = None if feature_cache is None else FeatureCache(feature_cache, loaded.detector, loaded.spec)

    def process(self, videos: Sequence[Video]) -> list[dict[str, Any]]:
        """The prediction rows of some videos, in their order; keeps their scene clusters."""
        rows: list[dict[str, Any]] = []
        scenes: dict[str, int] = {}
        for video in videos:
            latents: list[Maps] = []
            rows += detect_video(
                self._detector,
                self._spec,
                video,
                device=self._device,
                settings=self._settings,
                batch_clips=self._batch_clips,
                feature_cache=self._cache,
                latents=latents,
            )
            if self._centres is not None:
                scenes[video.video_id] = nearest_centre(latents, self._centres)
        if scenes and self._scenes_dir is not None:
            write_scenes(self._scenes_dir, scenes)
        return rows
