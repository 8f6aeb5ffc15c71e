"""Detections in the pickles of ACT, MOC and MultiSports: boxes of frames, or tubes, by class number.

Boxes of frames are an (n, 8) array of video number, frame, class, score, x1, y1, x2, y2. Tubes are a dict from the
class to a list of (video, score, array of frame, x1, y1, x2, y2 and perhaps the box's own score). Frames count from 1.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.boxes import Floats
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.untrusted import unpickle

BOX_FIELDS, TUBE_FIELDS = 8, 5


def read_act_predictions(location: str, order: Sequence[str] | None = None) -> pa.Table:
    """Reads detections.

    Args:
        location: The pickle.
        order: The test videos in the order of the data set, which is what video numbers count; tubes have names.

    Returns:
        Table of `PREDICTIONS_SCHEMA`, frames from 0. A box that belongs to no tube is a tube of its own.

    Raises:
        UserError: The pickle holds anything but arrays and plain values, or these are not as described; or it has
            numbers for videos and there is no order.
    """
    content = unpickle(location)
    if isinstance(content, np.ndarray) and content.ndim == 2 and content.shape[1] >= BOX_FIELDS:
        if order is None:
            raise UserError(
                f"{location}: has numbers for videos; expected --order with the data set's own list of test videos, "
                "its ground-truth pickle or a text file"
            )
        return _table(*_boxes(content.astype(np.float64), order, location))
    if isinstance(content, dict):
        return _concatenated([_tube(*each, location) for each in _tubes(content)])
    raise UserError(
        f"{location}: a {type(content).__name__} found, expected an (n, {BOX_FIELDS}) array of boxes, "
        "or a dict from classes to lists of (video, score, tube)"
    )


def _boxes(rows: Floats, order: Sequence[str], location: str) -> tuple[Any, ...]:
    numbers = rows[:, 0].astype(np.int64)
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(order):
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise UserError(f"{location}: video number {wrong} found, expected 0…{len(order) - 1}")
    videos = np.array(order, dtype=object)[numbers]
    tube_ids = [f"box-{n:07d}" for n in range(len(rows))]
    return videos, tube_ids, rows[:, 1] - 1, rows[:, 2], rows[:, 3], rows[:, 3], rows[:, 4:8]


def _tubes(content: dict[Any, Any]) -> Iterator[tuple[int, int, Any]]:
    for class_id, tubes in content.items():
        for number, tube in enumerate(tubes):
            yield class_id, number, tube


def _tube(class_id: int, number: int, tube: Any, location: str) -> pa.Table:
    try:
        video, score, boxes = tube
        boxes = np.asarray(boxes, dtype=np.float64)
        if boxes.ndim != 2 or boxes.shape[1] < TUBE_FIELDS:
            raise ValueError(f"an array of shape {boxes.shape}")
        own = boxes[:, TUBE_FIELDS] if boxes.shape[1] > TUBE_FIELDS else np.full(len(boxes), float(score))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{location}: tube {number} of class {class_id} is {error}, expected (video, score, "
            f"(m, {TUBE_FIELDS}) array)"
        ) from error
    count = len(boxes)
    videos, tubes = [str(video)] * count, [f"class-{class_id}-tube-{number:06d}"] * count
    classes, tube_scores = np.full(count, class_id), np.full(count, float(score))
    return _table(videos, tubes, boxes[:, 0] - 1, classes, own, tube_scores, boxes[:, 1:5])


def _table(
    videos: Any, tubes: Any, frames: Floats, classes: Any, scores: Floats, tube_scores: Floats, boxes: Floats
) -> pa.Table:
    columns = {
        "video_id": pa.array(list(videos), pa.string()),
        "tube_id": pa.array(tubes, pa.string()),
        "frame": pa.array(frames.astype(np.int32)),
        "class_id": pa.array(np.asarray(classes).astype(np.int32)),
        "score": pa.array(scores),
        "tube_score": pa.array(tube_scores),
        **{name: pa.array(boxes[:, k]) for k, name in enumerate(("x1", "y1", "x2", "y2"))},
    }
    return pa.table(columns).cast(PREDICTIONS_SCHEMA)


def _concatenated(tables: Sequence[pa.Table]) -> pa.Table:
    return pa.concat_tables([PREDICTIONS_SCHEMA.empty_table(), *tables])
