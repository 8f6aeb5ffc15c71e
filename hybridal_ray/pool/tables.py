"""The pool: its videos, and the tubes (actor tracks) that are known of them, as Arrow tables.

A pool is a directory or URI that holds ``pool.json``, ``videos.parquet`` and ``tubes.parquet``. Frames are
0-based indices in decode order; boxes are float pixels of the decoded frame, x2 and y2 exclusive. An actor that does
several things at once has a row for each of them, alike but for the class.

Where ``pool.json`` says ``"labelled_frames": true``, ``labelled_frames.parquet`` names the frames that somebody
looked at, those without any actor among them. Without it, the frames that have a box are the labelled ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.identity import content_hash

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")
STATUSES = ("ok", "missing", "unreadable")

VIDEOS_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("num_frames", pa.int32(), nullable=False),
        pa.field("fps", pa.float64(), nullable=False),
        pa.field("width", pa.int32(), nullable=False),
        pa.field("height", pa.int32(), nullable=False),
        pa.field("status", pa.string(), nullable=False),  # ok | missing | unreadable
        pa.field("reason", pa.string(), nullable=True),
    ]
)

TUBES_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("tube_id", pa.string(), nullable=False),
        pa.field("class_id", pa.int32(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
        pa.field("x1", pa.float32(), nullable=False),
        pa.field("y1", pa.float32(), nullable=False),
        pa.field("x2", pa.float32(), nullable=False),
        pa.field("y2", pa.float32(), nullable=False),
        pa.field("mask", pa.string(), nullable=True),  # COCO RLE counts, over the whole frame
    ]
)

LABELLED_FRAMES_SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("frame", pa.int32(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Video:
    """What scoring, selection and decoding may know of a video: everything but its labels.

    Attributes:
        video_id: Unique in the pool.
        uri: Where the file lies: absolute path or URI.
        split: ``train``, ``val`` or ``test``.
        group: The source it was cut from; groups never cross splits.
        num_frames: Decoded frames, at least 1.
        width: Pixels of the decoded frame.
        height: Pixels of the decoded frame.
    """

    video_id: str
    uri: str
    split: str
    group: str
    num_frames: int
    width: int
    height: int


@dataclass(frozen=True)
class Pool:
    """The tables of a pool.

    Attributes:
        root: Directory or URI the pool was read from; relative video URIs are resolved against it.
        name: Human-readable name.
        classes: Class names; a class id is an index into them.
        videos: Table of `VIDEOS_SCHEMA`, one row a video.
        tubes: Table of `TUBES_SCHEMA`, one row a box.
        looked_at: Table of `LABELLED_FRAMES_SCHEMA`, one row a frame that somebody labelled, possibly without any
            actor; None where only the frames with a box are known to be labelled.
    """

    root: str
    name: str
    classes: tuple[str, ...]
    videos: pa.Table
    tubes: pa.Table
    looked_at: pa.Table | None = None

    def usable_videos(self, split: str) -> list[Video]:
        """The videos of a split that decode (status ``ok``), ordered by video id."""
        rows = self.videos.filter(
            (pc.field("split") == split) & (pc.field("status") == "ok") & (pc.field("num_frames") > 0)
        ).sort_by("video_id")
        return [
            Video(
                video_id=row["video_id"],
                uri=storage.resolve_uri(row["uri"], self.root),
                split=row["split"],
                group=row["group"],
                num_frames=row["num_frames"],
                width=row["width"],
                height=row["height"],
            )
            for row in rows.to_pylist()
        ]

    def tubes_of(self, video_ids: Sequence[str]) -> pa.Table:
        """The rows of `tubes` that belong to the given videos."""
        return self.tubes.filter(pc.is_in(self.tubes["video_id"], pa.array(list(video_ids), pa.string())))

    def labelled_frames_of(self, video_ids: Sequence[str]) -> dict[str, list[int]] | None:
        """The frames of each of the given videos that were looked at, ascending; None where all frames were."""
        if self.looked_at is None:
            return None
        frames: dict[str, list[int]] = {video_id: [] for video_id in video_ids}
        rows = self.looked_at.filter(pc.is_in(self.looked_at["video_id"], pa.array(list(video_ids), pa.string())))
        for video_id, frame in zip(rows["video_id"].to_pylist(), rows["frame"].to_pylist(), strict=True):
            frames[video_id].append(frame)
        return {video_id: sorted(of_video) for video_id, of_video in frames.items()}

    def empty_frames_of(self, video_ids: Sequence[str]) -> pa.Table:
        """The frames of the given videos that were looked at and hold no actor (`LABELLED_FRAMES_SCHEMA`)."""
        if self.looked_at is None:
            return LABELLED_FRAMES_SCHEMA.empty_table()
        wanted = self.looked_at.filter(pc.is_in(self.looked_at["video_id"], pa.array(list(video_ids), pa.string())))
        with_box = self.tubes_of(video_ids).select(["video_id", "frame"])
        empty = wanted.join(with_box, ["video_id", "frame"], join_type="left anti")
        return empty.cast(LABELLED_FRAMES_SCHEMA).sort_by([("video_id", "ascending"), ("frame", "ascending")])

    def identity(self) -> str:
        """Hash of the name, the classes and the tables, the same wherever the pool and its videos lie.

        Returns:
            16 hexadecimal digits (BLAKE2b) over the rows in a canonical order. `root` and the columns ``uri`` and
            ``reason``, which differ from machine to machine, do not count.
        """
        tables: list[tuple[pa.Table, pa.Schema, Sequence[str]]] = [
            (self.videos, VIDEOS_SCHEMA, ("uri", "reason")),
            (self.tubes, TUBES_SCHEMA, ()),
        ]
        if self.looked_at is not None:
            tables.append((self.looked_at, LABELLED_FRAMES_SCHEMA, ()))
        return content_hash(self.name, self.classes, tables)


def save_pool(pool: Pool) -> None:
    """Writes a pool to its root, ``pool.json`` last, so that a half-written pool is never taken for one."""
    storage.write_table(storage.join(pool.root, "videos.parquet"), pool.videos.cast(VIDEOS_SCHEMA))
    storage.write_table(storage.join(pool.root, "tubes.parquet"), pool.tubes.cast(TUBES_SCHEMA))
    description: dict[str, Any] = {"format_version": FORMAT_VERSION, "name": pool.name, "classes": list(pool.classes)}
    if pool.looked_at is not None:
        frames = pool.looked_at.cast(LABELLED_FRAMES_SCHEMA)
        storage.write_table(storage.join(pool.root, "labelled_frames.parquet"), frames)
        description["labelled_frames"] = True
    storage.write_json(storage.join(pool.root, "pool.json"), description)


def load_pool(root: str) -> Pool:
    """Reads a pool and checks that its tables are whole.

    Args:
        root: Directory or URI of the pool.

    Raises:
        UserError: A file of the pool is missing or malformed; the message names the file and the field.
    """
    location = storage.join(root, "pool.json")
    if not storage.exists(location):
        raise UserError(
            f"{location}: no pool is there; make one with `hybridal ingest …` or `hybridal demo-pool {root}`"
        )
    description = storage.read_json(location)
    _check_description(location, description)
    pool = Pool(
        root=root,
        name=description["name"],
        classes=tuple(description["classes"]),
        videos=storage.read_table(storage.join(root, "videos.parquet"), VIDEOS_SCHEMA),
        tubes=load_tubes(root),
        looked_at=_read_looked_at(root) if description.get("labelled_frames") else None,
    )
    _check_videos(pool.videos, storage.join(root, "videos.parquet"))
    _check_tubes(pool, storage.join(root, "tubes.parquet"))
    if pool.looked_at is not None:
        _check_frames(pool, pool.looked_at, storage.join(root, "labelled_frames.parquet"))
    return replace(pool, tubes=pool.tubes.cast(TUBES_SCHEMA))


def load_tubes(root: str, columns: Sequence[str] = TUBES_SCHEMA.names) -> pa.Table:
    """Some columns of a pool's tubes, unchecked, for pools whose boxes fill the memory: ids are held once each.

    Args:
        root: Directory or URI of the pool.
        columns: Of `TUBES_SCHEMA`; the others are not read into memory.

    Returns:
        A table with ``video_id`` and ``tube_id`` as dictionaries; ``table.cast`` to `TUBES_SCHEMA` spells them out.

    Raises:
        UserError: The file is missing or malformed; the message names it and the column.
    """
    ids = [name for name in columns if name in ("video_id", "tube_id")]
    of_ids = pa.dictionary(pa.int32(), pa.string())
    fields = [
        TUBES_SCHEMA.field(name).with_type(of_ids) if name in ids else TUBES_SCHEMA.field(name) for name in columns
    ]
    table = storage.read_table(storage.join(root, "tubes.parquet"), pa.schema(fields), encoded=ids)
    return table.unify_dictionaries()


def _read_looked_at(root: str) -> pa.Table:
    return storage.read_table(storage.join(root, "labelled_frames.parquet"), LABELLED_FRAMES_SCHEMA)


def _check_description(location: str, description: object) -> None:
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


def _check_videos(videos: pa.Table, location: str) -> None:
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


def _check_tubes(pool: Pool, location: str) -> None:
    tubes = pool.tubes
    known_class = (pc.field("class_id") >= 0) & (pc.field("class_id") < len(pool.classes))
    _check_each(tubes, known_class, location, "class_id", f"one of 0…{len(pool.classes) - 1}, as in pool.json")
    for low, high in (("x1", "x2"), ("y1", "y2")):
        extended = (pc.field(low) < pc.field(high)) & pc.is_finite(pc.field(high) - pc.field(low))
        _check_each(tubes, extended, location, high, f"a finite number above {low}")
    _check_frames(pool, tubes, location)
    keys = _codes(tubes["video_id"])[0].astype(
        np.int64
    )  # one number a row, different for each (video, tube, class, frame)
    tube_codes, tube_ids = _codes(tubes["tube_id"])
    for codes, count in (
        (tube_codes, len(tube_ids)),
        (tubes["class_id"].to_numpy(), len(pool.classes)),
        (tubes["frame"].to_numpy(), (pc.max(tubes["frame"]).as_py() or 0) + 1),
    ):
        keys *= max(1, count)
        keys += codes
    if not (np.diff(keys) > 0).all():  # tables that are written in order need not be sorted
        order = np.argsort(keys, kind="stable")
        unique = np.ones(len(keys), dtype=bool)
        unique[order[1:]] = np.diff(keys[order]) > 0
        _check_each(tubes, pa.array(unique), location, "frame", "one box a frame in each tube and class")


def _check_frames(pool: Pool, table: pa.Table, location: str) -> None:
    codes, ids = _codes(table["video_id"])
    rows = pc.index_in(ids, pool.videos["video_id"].combine_chunks())
    _check_each(table, rows.is_valid().take(pa.array(codes)), location, "video_id", "a video of videos.parquet")
    statuses, lengths = pool.videos["status"].take(rows), pool.videos["num_frames"].take(rows)
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
