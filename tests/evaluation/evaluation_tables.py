"""Rows of predictions and truth, and how to evaluate them."""

import numpy as np
import pyarrow as pa

from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA

CLASSES = ("jump", "run", "wave")
BOX = (10.0, 10.0, 30.0, 50.0)
AWAY = (60.0, 10.0, 80.0, 50.0)


def truth_row(frame, box=BOX, *, video="v", tube="a", class_id=0):
    names = ("x1", "y1", "x2", "y2")
    return {"video_id": video, "tube_id": tube, "class_id": class_id, "frame": frame, "mask": None} | dict(
        zip(names, box, strict=True)
    )


def prediction_row(frame, box=BOX, *, score=0.5, tube_score=None, **keys):
    row = truth_row(frame, box, **keys)
    del row["mask"]
    return row | {"score": score, "tube_score": score if tube_score is None else tube_score}


def perfect(truth):
    return [
        {key: value for key, value in row.items() if key != "mask"} | {"score": 0.9, "tube_score": 0.9} for row in truth
    ]


def prediction_table(rows):
    return pa.Table.from_pylist(rows, PREDICTIONS_SCHEMA)


def truth_table(rows):
    return pa.Table.from_pylist(rows, TUBES_SCHEMA)


def evaluate(predictions, truth, videos=("v",), resamples=0, **options):
    return evaluate_predictions(
        prediction_table(predictions), truth_table(truth), videos, CLASSES, resamples=resamples, **options
    )


def shrunk(box, iou):
    """The box with its height cut so that it has that IoU with the box."""
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1 + iou * (y2 - y1)


def random_tables(seed):
    """Few places, few scores and few pixels, so that ties, duplicates and equal overlaps are frequent."""
    rng = np.random.default_rng(seed)

    def rows(make, tubes):
        result = []
        for video in ("v0", "v1", "v2"):
            for tube in range(rng.integers(0, tubes + 1)):
                class_id, tube_score = int(rng.integers(0, 3)), rng.integers(1, 4) / 4
                x, y, length = *rng.integers(0, 4, 2), rng.integers(1, 7)
                start = rng.integers(0, 4)
                for frame in range(start, start + length):
                    dx, dy, dw, dh = rng.integers(0, 3, 4)
                    box = (float(x + dx), float(y + dy), float(x + dx + 4 + dw), float(y + dy + 4 + dh))
                    keys = {"video": video, "tube": f"t{tube}", "class_id": class_id}
                    if rng.random() < 0.9:  # tubes have holes now and then
                        result.append(make(frame, box, score=rng.integers(1, 4) / 4, tube_score=tube_score, **keys))
        return result

    def truth_without_scores(frame, box, score, tube_score, **keys):
        return truth_row(frame, box, **keys)

    truth = rows(truth_without_scores, 3) or [truth_row(0, video="v0")]
    predictions = rows(prediction_row, 6)
    rng.shuffle(predictions)
    return predictions, truth
