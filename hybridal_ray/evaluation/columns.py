"""Predictions and ground truth as NumPy columns, one row a box and class, in a defined order."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.boxes import Floats, Indices

# The frames of a video that somebody labelled; of videos that are not named, all frames count as labelled.
LabelledFrames = Mapping[str, Sequence[int]]
Rows = Indices | npt.NDArray[np.bool_] | slice

ROWS_AT_ONCE = 400_000  # of predictions that are compared with the truth at a time: what bounds the memory


@dataclass(frozen=True)
class BoxColumns:
    """Boxes, one row a box and class, by video and frame, best score first, ties by tube.

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

    def take(self, rows: Rows) -> "BoxColumns":
        """The given rows, by index, by mask or by slice."""
        return BoxColumns(
            self.videos[rows],
            self.frames[rows],
            self.tubes[rows],
            self.classes[rows],
            self.boxes[rows],
            self.scores[rows],
            self.tube_scores[rows],
        )

    def ordered(self) -> "BoxColumns":
        """The same rows in the order of the class."""
        return self.take(np.lexsort((self.tubes, -self.scores, frame_keys(self))))


class LabelledRows:
    """Tells which rows lie on frames that somebody labelled: on others, nobody can say what is false.

    Args:
        labelled: See `LabelledFrames`; None where every frame of every video is labelled.
        video_ids: The evaluated ones, sorted.
    """

    def __init__(self, labelled: LabelledFrames | None, video_ids: Sequence[str]) -> None:
        self._frames = [
            None if frames is None else np.unique(np.asarray(frames, dtype=np.int64))
            for frames in ((labelled or {}).get(video_id) for video_id in video_ids)
        ]
        self._all = all(frames is None for frames in self._frames)

    def keep(self, columns: BoxColumns) -> BoxColumns:
        """The rows on labelled frames."""
        if self._all:
            return columns
        kept = np.ones(len(columns), dtype=bool)
        for video in np.unique(columns.videos):
            frames = self._frames[video]
            if frames is not None:
                rows = columns.videos == video
                kept[rows] = np.isin(columns.frames[rows], frames)
        return columns.take(kept)


def prediction_batches(
    tables: Iterable[pa.Table], video_ids: Sequence[str], num_classes: int, labelled: LabelledRows
) -> Iterator[BoxColumns]:
    """Reads tables of `PREDICTIONS_SCHEMA`, some whole videos at a time.

    Args:
        tables: Each video's rows in one of them, in any order.
        video_ids: The evaluated ones, sorted; rows of others are left out.
        num_classes: Class ids are below.
        labelled: Rows on other frames are left out.

    Raises:
        UserError: A score is not a number, a class or frame is out of range, a box is inside out, a tube has two
            boxes of one class on one frame, a video is in two tables, or there are rows and all are of other videos.
    """
    seen: set[int] = set()
    stranger: str | None = None
    values = pa.array(video_ids, pa.string())
    for table in tables:
        if stranger is None and len(table):
            stranger = table["video_id"][0].as_py()
        positions = _codes(table["video_id"], values)
        order = np.argsort(positions, kind="stable")
        order = order[np.searchsorted(positions, 0, sorter=order) :]
        starts = run_starts(positions[order])
        videos = positions[order[starts]].tolist()
        again = seen.intersection(videos)
        if again:
            raise UserError(
                f"predictions: video {video_ids[min(again)]!r} is in two parts, expected its rows in one of them"
            )
        seen.update(videos)
        for start, end in _portions(starts, len(order)):
            columns = _columns(_rows(table, order[start:end]), values)
            _check(columns, num_classes, "predictions")
            batch = labelled.keep(columns).ordered()
            _check_once(batch, "predictions")
            yield batch
    # A detector that finds nobody has no rows at all; rows of other videos alone are those of another split or pool.
    if stranger is not None and not seen:
        raise UserError(
            f"predictions: all are of other videos than the {len(video_ids)} evaluated: found {stranger!r}, "
            f"expected such as {video_ids[0]!r}"
        )


def truth_columns(
    truth: pa.Table, video_ids: Sequence[str], num_classes: int, labelled: LabelledRows | None = None
) -> BoxColumns:
    """Reads a table of `TUBES_SCHEMA`, as `prediction_batches` does.

    Raises:
        UserError: There is no ground truth of these videos, or it holds impossible values.
    """
    values = pa.array(sorted(set(video_ids)), pa.string())
    columns = _columns(truth.filter(pc.is_in(truth["video_id"], values)), values)
    _check(columns, num_classes, "truth")
    columns = (columns if labelled is None else labelled.keep(columns)).ordered()
    if not len(columns):
        raise UserError(f"truth: none of the {len(values)} videos evaluated has a box, expected some")
    _check_once(columns, "truth")
    return columns


def merge_classes(columns: BoxColumns) -> BoxColumns:
    """Forgets the classes: one row a box of a tube on a frame, in class 0.

    The score is the sum over the classes. As class probabilities sum to at most 1, it is the objectness of the
    box as far as its classes were kept, so the ranking does not depend on how sure the classification is.
    """
    keys = pack(frame_keys(columns), columns.tubes)
    classless = dataclasses.replace(columns, classes=np.zeros_like(columns.classes))
    order = np.argsort(keys, kind="stable")
    starts = run_starts(keys[order])
    if len(starts) == len(columns):
        return classless
    merged = classless.take(order[starts])
    sums = (np.add.reduceat(scores[order], starts) for scores in (columns.scores, columns.tube_scores))
    return dataclasses.replace(merged, **dict(zip(("scores", "tube_scores"), sums, strict=True))).ordered()


def frame_keys(columns: BoxColumns, span: int | None = None) -> Indices:
    """One number a frame of a video, ascending by video and frame; `span` exceeds every frame."""
    if span is None:
        span = int(columns.frames.max(initial=0)) + 1
    return columns.videos * span + columns.frames


def pack(*columns: Indices) -> Indices:
    """One number for each combination of values, none negative, in the order of the columns."""
    keys = columns[0].astype(np.int64)
    for column in columns[1:]:
        size = int(column.max(initial=0)) + 1
        if int(keys.max(initial=0)) >= 2**62 // size:
            keys = np.unique(keys, return_inverse=True)[1]
        keys = keys * size + column
    return keys


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


def _portions(starts: Indices, num_rows: int) -> Iterator[tuple[int, int]]:
    """Joins runs of rows until there are `ROWS_AT_ONCE`."""
    begin = 0
    for end in [*starts[1:].tolist(), num_rows] if num_rows else []:
        if end - begin >= ROWS_AT_ONCE or end == num_rows:
            yield begin, end
            begin = end


def _rows(table: pa.Table, rows: Indices) -> pa.Table:
    """Some rows of a table, without a copy where they lie side by side."""
    first, last = int(rows[0]), int(rows[-1])
    contiguous = last - first + 1 == len(rows) and bool((np.diff(rows) == 1).all())
    return table.slice(first, len(rows)) if contiguous else table.take(rows)


def _columns(table: pa.Table, video_ids: pa.Array) -> BoxColumns:
    """All rows as they come."""
    scored = "score" in table.column_names
    ones = np.ones(len(table))
    return BoxColumns(
        videos=_codes(table["video_id"], video_ids),
        frames=table["frame"].to_numpy().astype(np.int64),
        tubes=_codes(table["tube_id"], None),
        classes=table["class_id"].to_numpy().astype(np.int64),
        boxes=np.stack([table[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float64),
        scores=table["score"].to_numpy().astype(np.float64) if scored else ones,
        tube_scores=table["tube_score"].to_numpy().astype(np.float64) if scored else ones,
    )


def _codes(texts: pa.ChunkedArray, values: pa.Array | None) -> Indices:
    """Each text as its position among the values, -1 where it is none of them; by default among its own, sorted."""
    if not pa.types.is_dictionary(texts.type):
        texts = texts.dictionary_encode()
    texts = texts.unify_dictionaries().combine_chunks()
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.chunk(0) if texts.num_chunks else pa.array([], pa.string()).dictionary_encode()
    if values is None:
        values = texts.dictionary.take(pc.sort_indices(texts.dictionary))
    positions = pc.fill_null(pc.index_in(texts.dictionary, value_set=values), -1).to_numpy()
    return positions[texts.indices.to_numpy()].astype(np.int64) if len(texts) else np.empty(0, dtype=np.int64)


def _check(columns: BoxColumns, num_classes: int, what: str) -> None:
    wrong = (columns.classes < 0) | (columns.classes >= num_classes)
    if wrong.any():
        raise UserError(f"{what}: class_id {columns.classes[wrong][0]} found, expected 0…{num_classes - 1}")
    if (columns.frames < 0).any():
        raise UserError(f"{what}: frame {columns.frames.min()} found, expected 0 or more")
    for name, values in (("score", columns.scores), ("tube_score", columns.tube_scores), ("box", columns.boxes)):
        if not np.isfinite(values).all():
            raise UserError(f"{what}: a {name} is not a finite number")
    if (columns.boxes[:, 2:] < columns.boxes[:, :2]).any():
        raise UserError(f"{what}: a box has x2 < x1 or y2 < y1")


def _check_once(columns: BoxColumns, what: str) -> None:
    keys = np.sort(pack(frame_keys(columns), columns.tubes, columns.classes))
    if (keys[1:] == keys[:-1]).any():
        raise UserError(f"{what}: a tube has two boxes of one class on one frame, expected one")
