"""Whether the tables of a pool are whole; what is wrong is told in one line that names the file and the field.

Every check raises a `UserError` at the first row that it does not hold for.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
STATUSES = ("ok", "missing", "unreadable")


def check_split(split: str) -> None:
    """Refuses what is no split, as an option gives it.

    Raises:
        UserError: It is none.
    """
    if split not in SPLITS:
        raise UserError(f"--split: found {split!r}, expected one of {', '.join(SPLITS)}")


def check_description(location: str, description: object) -> None:
    """``pool.json`` is of this format and names the pool and its classes."""
    if not isinstance(description, Mapping):
        raise UserError(f"{location}: found a {type(description).__name__}, expected an object")
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(f"{location}: format_version is {version!r}, expected {FORMAT_VERSION}")
    if not isinstance(description.get("name"), str):
        raise UserError(f"{location}: name is {description.get('name')!r}, expected a string")
    classes = description.get("classes")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"{location}: classes is {classes!r}, expected a list of class names")
    if len(set(classes)) < len(classes):
        raise UserError(f"{location}: classes holds duplicates, expected each name once")


def check_videos(videos: pa.Table, location: str) -> None:
    """Videos are there once, have a known split and status, and no source is in two splits."""
    if pc.count_distinct(videos["video_id"]).as_py() != len(videos):
        raise UserError(f"{location}: video_id holds duplicates, expected one row a video")
    for field, allowed in (("split", SPLITS), ("status", STATUSES)):
        wrong = [value for value in pc.unique(videos[field]).to_pylist() if value not in allowed]
        if wrong:
            raise UserError(f"{location}: {field} is {wrong[0]!r}, expected one of {', '.join(allowed)}")
    empty = videos.filter((pc.field("status") == "ok") & (pc.field("num_frames") < 1))
    if len(empty) > 0:
        raise UserError(f"{location}: num_frames of {empty['video_id'][0]} is below 1, though its status is ok")
    splits = videos.group_by("group").aggregate([("split", "count_distinct")])
    leaking = splits.filter(pc.field("split_count_distinct") > 1)
    if len(leaking) > 0:
        group = pc.min(leaking["group"]).as_py()
        raise UserError(f"{location}: group {group!r} is in several splits; clips of one source leak into the test")


def check_tubes(tubes: pa.Table, videos: pa.Table, num_classes: int, location: str) -> None:
    """Boxes lie on frames of the videos that are there, have an extent and a known class, and are there once."""
    known_class = (pc.field("class_id") >= 0) & (pc.field("class_id") < num_classes)
    _check_each(tubes, known_class, location, "class_id", f"one of 0…{num_classes - 1}, as in pool.json")
    for low, high in (("x1", "x2"), ("y1", "y2")):
        extended = (pc.field(low) < pc.field(high)) & pc.is_finite(pc.field(high) - pc.field(low))
        _check_each(tubes, extended, location, high, f"a finite number above {low}")
    check_frames(tubes, videos, location)
    # One number a row, different for each (video, tube, class, frame).
    keys = _codes(tubes["video_id"])[0].astype(np.int64)
    tube_codes, tube_ids = _codes(tubes["tube_id"])
    for codes, count in (
        (tube_codes, len(tube_ids)),
        (tubes["class_id"].to_numpy(), num_classes),
        (tubes["frame"].to_numpy(), (pc.max(tubes["frame"]).as_py() or 0) + 1),
    ):
        keys *= max(1, count)
        keys += codes
    if not (np.diff(keys) > 0).all():  # tables that are written in order need not be sorted
        order = np.argsort(keys, kind="stable")
        unique = np.ones(len(keys), dtype=bool)
        unique[order[1:]] = np.diff(keys[order]) > 0
        _check_each(tubes, pa.array(unique), location, "frame", "one box a frame in each tube and class")


def check_frames(table: pa.Table, videos: pa.Table, location: str) -> None:
    """Every row names a frame of a video that is there."""
    codes, ids = _codes(table["video_id"])
    rows = pc.index_in(ids, videos["video_id"].combine_chunks())
    _check_each(table, rows.is_valid().take(pa.array(codes)), location, "video_id", "a video of videos.parquet")
    statuses, lengths = videos["status"].take(rows), videos["num_frames"].take(rows)
    ends = pc.if_else(pc.equal(statuses, "ok"), lengths, np.iinfo(np.int32).max).combine_chunks()
    frames = table["frame"].to_numpy()
    within = (frames >= 0) & (frames < ends.to_numpy(zero_copy_only=False)[codes])
    _check_each(table, pa.array(within), location, "frame", "a frame from 0 to num_frames - 1 of videos.parquet")


def _codes(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int32], pa.Array]:
    """A column of strings as numbers, (N,), and the strings that they stand for."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    if encoded.num_chunks == 0:
        return np.zeros(0, dtype=np.int32), pa.array([], pa.string())
    strings = encoded.chunk(0).dictionary
    if not all(chunk.dictionary.equals(strings) for chunk in encoded.chunks):
        encoded = encoded.unify_dictionaries()
        strings = encoded.chunk(0).dictionary
    return np.concatenate([chunk.indices.to_numpy() for chunk in encoded.chunks]), strings


def _check_each(table: pa.Table, condition: pc.Expression | pa.Array, location: str, field: str, expected: str) -> None:
    wrong = table.filter(~condition if isinstance(condition, pc.Expression) else pc.invert(condition))
    if len(wrong) > 0:
        row = wrong.slice(0, 1).to_pylist()[0]
        raise UserError(f"{location}: {field} is {row[field]!r} in a row of {row['video_id']!r}, expected {expected}")
