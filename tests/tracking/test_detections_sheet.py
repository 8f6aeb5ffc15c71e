"""Oracle: hand-written tubes; orange and blue outlines found in the picture."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from hybridal_ray.evaluation.drawing import PREDICTED, TRUE
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA, Pool
from hybridal_ray.tracking.detections_sheet import choose_frames, detections_sheet
from hybridal_ray.tracking.run_reader import read_predictions
from hybridal_ray.tracking.style import to_png


def pool_with(squares: Pool, tubes: list[tuple[str, int, range]]) -> Pool:
    """The pool with these tubes (video, class, frames) instead."""
    corners = {"x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 9.0}
    rows = [
        {"video_id": video, "tube_id": f"{place}", "class_id": class_id, "frame": frame, **corners}
        for place, (video, class_id, frames) in enumerate(tubes)
        for frame in frames
    ]
    return dataclasses.replace(squares, tubes=pa.Table.from_pylist(rows, TUBES_SCHEMA))


def chosen(pool: Pool, count: int, split: str = "test") -> list[tuple[str, int, int]]:
    return [(at.video.video_id, at.frame, at.class_id) for at in choose_frames(pool, split, count)]


def test_classes_share_the_room_and_spread_over_their_videos(squares: Pool) -> None:
    # The test split is video-08 … video-11; even ones show class 0, odd ones class 1, all of 12 frames.
    assert chosen(squares, 2) == [("video-08", 6, 0), ("video-09", 6, 1)]
    assert chosen(squares, 3) == [("video-08", 6, 0), ("video-10", 6, 0), ("video-09", 6, 1)]
    assert len(chosen(squares, 12)) == 4


def test_the_middle_of_the_tube_is_shown_and_no_video_twice(squares: Pool) -> None:
    pool = pool_with(squares, [("video-08", 0, range(4, 9)), ("video-08", 1, range(3)), ("video-09", 1, range(3))])
    assert chosen(pool, 4) == [("video-08", 6, 0), ("video-09", 1, 1)]


def test_videos_of_another_split_are_never_shown(squares: Pool) -> None:
    pool = pool_with(squares, [("video-00", 0, range(5)), ("video-08", 0, range(5))])
    assert chosen(pool, 4) == [("video-08", 2, 0)]
    assert chosen(pool, 4, "train") == [("video-00", 2, 0)]
    assert chosen(pool, 4, "val") == []


def share_of(pool: Pool, predictions: pa.Table, colour: tuple[int, int, int]) -> float:
    png = to_png(lambda: detections_sheet(pool, predictions, split="test"))
    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return float((np.abs(picture - np.array(colour)).max(axis=-1) < 30).mean())


def test_predicted_and_true_boxes_are_drawn_above_the_threshold(finished_run: Path, squares: Pool) -> None:
    predictions = read_predictions(str(finished_run), 1)
    assert predictions is not None
    assert share_of(squares, predictions, PREDICTED) > 0.001
    assert share_of(squares, predictions, TRUE) > 0.001
    faint = pa.array([0.01] * len(predictions), pa.float32())
    unsure = predictions.set_column(4, PREDICTIONS_SCHEMA.field("score"), faint)
    assert share_of(squares, unsure, PREDICTED) == 0
    assert share_of(squares, unsure, TRUE) > 0.001
