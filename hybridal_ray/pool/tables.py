"""The pool: its videos, and the tubes (actor tracks) that are known of them, as Arrow tables.

A pool is a directory or URI that holds ``pool.json``, ``videos.parquet`` and ``tubes.parquet``. Frames are
0-based indices in decode order; boxes are float pixels of the decoded frame, x2 and y2 exclusive.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

FORMAT_VERSION = 1
SPLITS = ("train", "val", "test")

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
    """

    root: str
    name: str
    classes: tuple[str, ...]
    videos: pa.Table
    tubes: pa.Table

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

    def identity(self) -> str:
        """Hash of the name, the classes and both tables, the same wherever the pool lies.

        Returns:
            16 hexadecimal digits (BLAKE2b) over the rows in a canonical order; `root` does not count.
        """
        digest = hashlib.blake2b(json.dumps([self.name, list(self.classes)]).encode(), digest_size=8)
        keys = {"videos": ["video_id"], "tubes": ["video_id", "tube_id", "frame"]}
        for table_name, table in (("videos", self.videos), ("tubes", self.tubes)):
            ordered = table.sort_by([(key, "ascending") for key in keys[table_name]]).combine_chunks()
            for column in ordered.columns:
                digest.update(json.dumps(column.to_pylist()).encode())
        return digest.hexdigest()


def save_pool(pool: Pool) -> None:
    """Writes a pool to its root, ``pool.json`` last, so that a half-written pool is never taken for one."""
    storage.write_table(storage.join(pool.root, "videos.parquet"), pool.videos.cast(VIDEOS_SCHEMA))
    storage.write_table(storage.join(pool.root, "tubes.parquet"), pool.tubes.cast(TUBES_SCHEMA))
    description = {"format_version": FORMAT_VERSION, "name": pool.name, "classes": list(pool.classes)}
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
        videos=_read(storage.join(root, "videos.parquet"), VIDEOS_SCHEMA),
        tubes=_read(storage.join(root, "tubes.parquet"), TUBES_SCHEMA),
    )
    _check_rows(pool)
    return pool


def _check_description(location: str, description: Mapping[str, object]) -> None:
    version = description.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(f"{location}: format_version is {version!r}, expected {FORMAT_VERSION}")
    for field in ("name", "classes"):
        if field not in description:
            raise UserError(f"{location}: {field} is missing")


def _read(location: str, schema: pa.Schema) -> pa.Table:
    table = storage.read_table(location)
    missing = [name for name in schema.names if name not in table.column_names]
    if missing:
        raise UserError(f"{location}: column {missing[0]!r} is missing")
    try:
        return table.select(schema.names).cast(schema)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise UserError(f"{location}: {error}") from error


def _check_rows(pool: Pool) -> None:
    videos_file = storage.join(pool.root, "videos.parquet")
    tubes_file = storage.join(pool.root, "tubes.parquet")
    ids = pool.videos["video_id"]
    if pc.count_distinct(ids).as_py() != len(ids):
        raise UserError(f"{videos_file}: video_id holds duplicates, expected one row a video")
    unknown = pc.unique(pool.videos["split"]).to_pylist()
    wrong = [split for split in unknown if split not in SPLITS]
    if wrong:
        raise UserError(f"{videos_file}: split {wrong[0]!r} is unknown, expected one of {', '.join(SPLITS)}")
    if len(pool.tubes) == 0:
        return
    class_range = pc.min_max(pool.tubes["class_id"]).as_py()
    if class_range["min"] < 0 or class_range["max"] >= len(pool.classes):
        raise UserError(f"{tubes_file}: class_id outside 0…{len(pool.classes) - 1}, the classes of pool.json")
    strangers = pc.invert(pc.is_in(pool.tubes["video_id"], ids.combine_chunks()))
    if pc.any(strangers).as_py():
        stranger = pool.tubes.filter(strangers)["video_id"][0].as_py()
        raise UserError(f"{tubes_file}: video_id {stranger!r} is not in videos.parquet")
