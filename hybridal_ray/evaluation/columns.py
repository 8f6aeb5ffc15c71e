"""Predictions and ground truth as NumPy columns, by box and by tube, in a defined order."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.boxes import Floats, Indices


@dataclass(frozen=True)
class BoxColumns:
    """Boxes, one row a box and class.

    Attributes:
        videos: (n,), position of the video among the evaluated ones, sorted by id.
        frames: (n,).
        tubes: (n,), rank of the tube's id among those of the table, as text.
        classes: (n,).
        boxes: (n, 4), x1, y1, x2, y2 in pixels.
        scores: (n,), of the box for its class; 1 for ground truth.
        tube_scores: (n,), of the tube for the class; 1 for ground truth.
    """

    videos: Indices
    frames: Indices
    tubes: Indices
    classes: Indices
    boxes: Floats
    scores: Floats
    tube_scores: Floats

    def __len__(self) -> int:
        return len(self.videos)

    def take(self, rows: Indices | npt.NDArray[np.bool_]) -> "BoxColumns":
        """The given rows, by index or by mask."""
        return BoxColumns(
            self.videos[rows],
            self.frames[rows],
            self.tubes[rows],
            self.classes[rows],
            self.boxes[rows],
            self.scores[rows],
            self.tube_scores[rows],
        )

    def ranked(self) -> "BoxColumns":
        """Best score first; ties by video id, frame and tube id."""
        return self.take(np.lexsort((self.tubes, self.frames, self.videos, -self.scores)))


@dataclass(frozen=True)
class TubeColumns:
    """Tubes, one row a tube and class.

    Attributes:
        videos: (n,), as in `BoxColumns`.
        tubes: (n,).
        classes: (n,).
        scores: (n,).
        frames: For each tube its frames, ascending, (m,).
        boxes: For each tube its boxes, (m, 4).
    """

    videos: Indices
    tubes: Indices
    classes: Indices
    scores: Floats
    frames: tuple[Indices, ...]
    boxes: tuple[Floats, ...]

    def __len__(self) -> int:
        return len(self.videos)

    def take(self, rows: Indices) -> "TubeColumns":
        """The tubes of the given indices."""
        return TubeColumns(
            self.videos[rows],
            self.tubes[rows],
            self.classes[rows],
            self.scores[rows],
            tuple(self.frames[row] for row in rows),
            tuple(self.boxes[row] for row in rows),
        )

    def ranked(self) -> "TubeColumns":
        """Best score first; ties by video id, first frame and tube id."""
        first_frames = np.array([frames[0] for frames in self.frames], dtype=np.int64)
        return self.take(np.lexsort((self.tubes, first_frames, self.videos, -self.scores)))


def prediction_columns(predictions: pa.Table, video_ids: Sequence[str], num_classes: int) -> BoxColumns:
    """Reads a table of `PREDICTIONS_SCHEMA`; rows of other videos than `video_ids` are left out.

    Raises:
        UserError: A score is not a number, a class or frame is out of range, a box is inside out, or a tube
            has two boxes of one class on one frame.
    """
    table, videos = _rows_of_videos(predictions, video_ids)
    columns = _columns(table, videos, _floats(table, "score"), _floats(table, "tube_score"))
    _check(columns, num_classes, "predictions")
    return columns


def truth_columns(truth: pa.Table, video_ids: Sequence[str], num_classes: int) -> BoxColumns:
    """Reads a table of `TUBES_SCHEMA`, as `prediction_columns` does.

    Raises:
        UserError: There is no ground truth of these videos, or it holds impossible values.
    """
    table, videos = _rows_of_videos(truth, video_ids)
    if not len(table):
        raise UserError(f"truth: none of the {len(set(video_ids))} videos evaluated has a box, expected some")
    ones = np.ones(len(table))
    columns = _columns(table, videos, ones, ones)
    _check(columns, num_classes, "truth")
    return columns


def merge_classes(columns: BoxColumns) -> BoxColumns:
    """Forgets the classes: one row a box of a tube on a frame, in class 0.

    The score is the sum over the classes. As class probabilities sum to at most 1, it is the objectness of the
    box as far as its classes were kept, so the ranking does not depend on how sure the classification is.
    """
    ordered = columns.take(np.lexsort((columns.classes, columns.tubes, columns.frames, columns.videos)))
    starts = run_starts(ordered.videos, ordered.frames, ordered.tubes)
    if not len(starts):
        return ordered
    first = ordered.take(starts)
    return BoxColumns(
        first.videos,
        first.frames,
        first.tubes,
        np.zeros_like(first.classes),
        first.boxes,
        np.add.reduceat(ordered.scores, starts),
        np.add.reduceat(ordered.tube_scores, starts),
    )


def group_tubes(columns: BoxColumns) -> TubeColumns:
    """Gathers boxes into tubes by video, tube and class; a tube's score is the greatest `tube_scores` of its rows."""
    ordered = columns.take(np.lexsort((columns.frames, columns.classes, columns.tubes, columns.videos)))
    starts = run_starts(ordered.videos, ordered.tubes, ordered.classes)
    if not len(starts):
        return TubeColumns(ordered.videos, ordered.tubes, ordered.classes, ordered.scores, (), ())
    return TubeColumns(
        ordered.videos[starts],
        ordered.tubes[starts],
        ordered.classes[starts],
        np.maximum.reduceat(ordered.tube_scores, starts),
        tuple(np.split(ordered.frames, starts[1:])),
        tuple(np.split(ordered.boxes, starts[1:])),
    )


def run_starts(*columns: Indices) -> Indices:
    """Where a new combination of values begins, in columns sorted alike."""
    if not len(columns[0]):
        return np.empty(0, dtype=np.int64)
    changed = np.any([column[1:] != column[:-1] for column in columns], axis=0)
    return np.concatenate(([0], np.flatnonzero(changed) + 1))


def position_in_run(values: Indices) -> Indices:
    """For sorted values, the position of each within its run of equals: 3 3 5 5 5 gives 0 1 0 1 2."""
    starts = run_starts(values)
    lengths = np.diff(np.append(starts, len(values)))
    return np.arange(len(values)) - np.repeat(starts, lengths)


def _rows_of_videos(table: pa.Table, video_ids: Sequence[str]) -> tuple[pa.Table, Indices]:
    """The rows that belong to the videos, and the position of each row's video among the sorted ids."""
    evaluated = pa.array(sorted(set(video_ids)), pa.string())
    positions = pc.index_in(table["video_id"], value_set=evaluated)
    known = pc.is_valid(positions)
    return table.filter(known), positions.filter(known).to_numpy().astype(np.int64)


def _columns(table: pa.Table, videos: Indices, scores: Floats, tube_scores: Floats) -> BoxColumns:
    tube_ids = pc.unique(table["tube_id"])
    ordered_ids = tube_ids.take(pc.sort_indices(tube_ids))
    return BoxColumns(
        videos=videos,
        frames=table["frame"].to_numpy().astype(np.int64),
        tubes=pc.index_in(table["tube_id"], value_set=ordered_ids).to_numpy().astype(np.int64),
        classes=table["class_id"].to_numpy().astype(np.int64),
        boxes=np.stack([_floats(table, name) for name in ("x1", "y1", "x2", "y2")], axis=1),
        scores=scores,
        tube_scores=tube_scores,
    )


def _floats(table: pa.Table, name: str) -> Floats:
    return table[name].to_numpy().astype(np.float64)


def _check(columns: BoxColumns, num_classes: int, what: str) -> None:
    classes = columns.classes
    if np.any((classes < 0) | (classes >= num_classes)):
        wrong = classes[(classes < 0) | (classes >= num_classes)][0]
        raise UserError(f"{what}: class_id {wrong} found, expected 0…{num_classes - 1}")
    if np.any(columns.frames < 0):
        raise UserError(f"{what}: frame {columns.frames.min()} found, expected 0 or more")
    for name, values in (("score", columns.scores), ("tube_score", columns.tube_scores), ("box", columns.boxes)):
        if not np.all(np.isfinite(values)):
            raise UserError(f"{what}: a {name} is not a finite number")
    if np.any(columns.boxes[:, 2:] < columns.boxes[:, :2]):
        raise UserError(f"{what}: a box has x2 < x1 or y2 < y1")
    keys = (columns.classes, columns.frames, columns.tubes, columns.videos)
    order = np.lexsort(keys)
    if len(run_starts(*(key[order] for key in keys))) != len(columns):
        raise UserError(f"{what}: a tube has two boxes of one class on one frame, expected one")
