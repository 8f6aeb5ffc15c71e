"""AVA's csv files: detections, ground truth, excluded timestamps; MultiSports' too, with frame numbers for seconds.

A row is ``video_id, timestamp, x1, y1, x2, y2, action_id, score or person_id``, without a header, boxes as shares of
the picture. Where no clock says otherwise, the timestamp stands as the frame. An action's place among the ids is its
class.
"""

import csv
import heapq
import io
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.ava import Clock
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA

Row = tuple[str, float, tuple[float, float, float, float], int, float]
CORNERS = ("x1", "y1", "x2", "y2")
MOST_ROWS = 50  # of a timestamp, that AVA's program looks at


@dataclass(frozen=True)
class AvaTruth:
    """What an AVA file says is true.

    Attributes:
        truth: Table of `TUBES_SCHEMA`, boxes as shares of the picture.
        actions: Ids of the actions that are evaluated; a class id is an index into them.
        video_ids: The videos that are evaluated, sorted.
        excluded: Video and timestamp of what does not count.
    """

    truth: pa.Table
    actions: tuple[int, ...]
    video_ids: tuple[str, ...]
    excluded: frozenset[tuple[str, int]]


def read_ava_truth(location: str, excluded: str | None = None, only: Collection[int] | None = None) -> AvaTruth:
    """Reads ground truth.

    Args:
        location: The csv file.
        excluded: A csv file of ``video_id, timestamp`` that are left out.
        only: Ids of the actions that are evaluated; None is those of the file.

    Raises:
        UserError: A file is missing or a row of it malformed; the message names it.
    """
    pairs = _csv(excluded, 2) if excluded else []
    left_out = frozenset((row[0], int(_finite(row[1], excluded, n))) for n, row in enumerate(pairs))
    counted = [row for row in _rows(location) if (row[0], int(row[1])) not in left_out]
    rows = counted if only is None else [row for row in counted if row[3] in only]
    actions = tuple(sorted({row[3] for row in rows} if only is None else only))
    columns = _columns(rows, actions)
    tubes = [f"person-{int(person)}" for *_, person in rows]
    masks = pa.nulls(len(rows), pa.string())
    truth = pa.table({**columns, "tube_id": tubes, "mask": masks}).select(TUBES_SCHEMA.names).cast(TUBES_SCHEMA)
    return AvaTruth(truth, actions, tuple(sorted({row[0] for row in counted})), left_out)


def counted_by_ava(predictions: pa.Table, excluded: Collection[tuple[str, int]]) -> pa.Table:
    """What AVA's own program looks at: of each timestamp that is not excluded the `MOST_ROWS` of best score.

    A row that comes when there are so many stays out unless its score is better than the least of them. It takes the
    place of that, of several with the least score of the lowest class, then the uppermost and leftmost box.

    Args:
        predictions: Table of `PREDICTIONS_SCHEMA`, of the actions that are evaluated.
        excluded: Video and timestamp of what does not count.
    """
    names = ("video_id", "frame", "score", "class_id", "y1", "x1", "y2", "x2")
    best: dict[tuple[str, int], list[tuple[float, ...]]] = {}
    for number, (video, frame, *key) in enumerate(zip(*(predictions[name].to_pylist() for name in names), strict=True)):
        if (video, frame) in excluded:
            continue
        kept, row = best.setdefault((video, frame), []), (*key, number)
        if len(kept) < MOST_ROWS:
            heapq.heappush(kept, row)
        elif row[0] > kept[0][0]:
            heapq.heapreplace(kept, row)
    return predictions.take(pa.array(sorted(row[-1] for kept in best.values() for row in kept), pa.int64()))


def read_ava_predictions(
    location: str,
    actions: Sequence[int],
    facts: Mapping[str, VideoFacts] | None = None,
    clock: Clock | None = None,
) -> pa.Table:
    """Reads detections, each a tube of its own.

    Args:
        location: The csv file.
        actions: Ids of the actions that are evaluated, by class; detections of others are left out.
        facts: Of each video that is evaluated, to give boxes in pixels; None leaves them as shares of the picture.
        clock: How a timestamp names a frame; None leaves it as it is. Needs `facts`.

    Returns:
        Table of `PREDICTIONS_SCHEMA`.

    Raises:
        UserError: As in `read_ava_truth`, or as in `Clock.frames`.
    """
    known = set(actions)
    rows = [row for row in _rows(location) if row[3] in known and (facts is None or row[0] in facts)]
    scores = [score for *_, score in rows]
    columns = _columns(rows, actions)
    if facts is not None:
        columns |= _in_pixels(rows, facts)
        if clock is not None:
            frames = [clock.frames([row[1]], facts[row[0]], row[0])[0] for row in rows]
            columns["frame"] = pa.array(frames, pa.int32())
    tubes = [f"box-{n:07d}" for n in range(len(rows))]
    table = pa.table({**columns, "tube_id": tubes, "score": scores, "tube_score": scores})
    return table.select(PREDICTIONS_SCHEMA.names).cast(PREDICTIONS_SCHEMA)


def _columns(rows: Sequence[Row], actions: Sequence[int]) -> dict[str, pa.Array]:
    classes = {action: class_id for class_id, action in enumerate(actions)}
    boxes = np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4)
    return {
        "video_id": pa.array([row[0] for row in rows], pa.string()),
        "frame": pa.array([int(row[1]) for row in rows], pa.int32()),
        "class_id": pa.array([classes[row[3]] for row in rows], pa.int32()),
        **{name: pa.array(boxes[:, k], pa.float64()) for k, name in enumerate(CORNERS)},
    }


def _in_pixels(rows: Sequence[Row], facts: Mapping[str, VideoFacts]) -> dict[str, pa.Array]:
    sizes = np.array([(facts[row[0]].width, facts[row[0]].height) * 2 for row in rows], dtype=np.float64)
    boxes = np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4) * sizes.reshape(-1, 4)
    return {name: pa.array(boxes[:, k], pa.float64()) for k, name in enumerate(CORNERS)}


def _rows(location: str) -> list[Row]:
    parsed: list[Row] = []
    for number, row in enumerate(_csv(location, 8)):
        try:
            x1, y1, x2, y2 = (float(value) for value in row[2:6])
            last = float(row[7])
        except ValueError as error:
            raise UserError(f"{location}, line {number + 1}: {error}; expected numbers after the video id") from error
        action = _whole(row[6], location, number)
        parsed.append((row[0], _finite(row[1], location, number), (x1, y1, x2, y2), action, last))
    return parsed


def _csv(location: str, num_fields: int) -> list[list[str]]:
    rows = [row for row in csv.reader(io.StringIO(storage.read_bytes(location).decode("utf-8", "replace"))) if row]
    for number, row in enumerate(rows):
        if len(row) < num_fields:
            raise UserError(f"{location}, line {number + 1}: {len(row)} fields found, expected {num_fields}")
    return rows


def _finite(text: str, location: str | None, number: int) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise UserError(f"{location}, line {number + 1}: {text!r} found, expected a timestamp")
    return found


def _whole(text: str, location: str | None, number: int) -> int:
    try:
        return int(float(text))
    except ValueError as error:
        raise UserError(f"{location}, line {number + 1}: {text!r} found, expected a whole number") from error
