"""A checkpoint over some videos, and one file of predictions in the end."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from hybridal_ray.detectors.checkpoint import SPEC_FILE, WEIGHTS_FILE
from hybridal_ray.dispatch import ActorPlan, Progress
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.evaluator import detect_videos
from hybridal_ray.evaluation.prediction_files import join_predictions
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video


def predict_videos(
    videos: Sequence[Video],
    checkpoint_dir: str,
    location: str,
    *,
    num_classes: int | None,
    settings: DetectionSettings,
    plan: ActorPlan,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Detects on every video, on the actors that evaluation uses, and writes one table of `PREDICTIONS_SCHEMA`.

    The parts lie beside the file until it is whole, so that a pass that was cut off goes on; they carry a digest of
    the detector and the settings in their name, so that it does so only for the same.

    Args:
        videos: Each id once.
        checkpoint_dir: Written by `save_detector`.
        location: The Parquet file to write, path or URI.
        num_classes: What the detector must know; None takes it as it is.
        settings: Thresholds from maps to tubes.
        plan: Who does it.
        progress: Called with the videos done and all videos.

    Returns:
        ``rows``, and ``failed``: why, by video id.

    Raises:
        UserError: `location` is a directory; or as in `detect_videos`.
    """
    if location.endswith("/") or storage.is_directory(location):
        raise UserError(f"{location}: found a directory, expected the Parquet file to write")
    digest = hashlib.blake2b(json.dumps(dataclasses.asdict(settings), sort_keys=True).encode(), digest_size=6)
    for file in (SPEC_FILE, WEIGHTS_FILE):
        digest.update(storage.read_bytes(storage.join(checkpoint_dir, file)))
    parts = f"{location}.parts-{digest.hexdigest()}"
    try:
        summary = detect_videos(
            videos, checkpoint_dir, parts, num_classes=num_classes, settings=settings, plan=plan, progress=progress
        )
    except Exception:
        # A pass that was refused, for its device or its classes, has nothing to go on with, and its plan would stand
        # in the way of one over other videos.
        if not storage.list_files(parts, suffix=".parquet"):
            storage.remove_directory(parts)
        raise
    rows = join_predictions(parts, location)
    storage.remove_directory(parts)
    return {"rows": rows, "failed": summary.failed}
