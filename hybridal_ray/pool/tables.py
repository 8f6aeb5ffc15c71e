"""The pool: its videos, and the tubes (actor tracks) that are known of them, as Arrow tables.

A pool is a directory or URI that holds ``pool.json``, ``videos.parquet`` and ``tubes.parquet``. Frames are
0-based indices in decode order; boxes are float pixels of the decoded frame, x2 and y2 exclusive. An actor that does
several things at once has a row for each of them, alike but for the class.

Where ``pool.json`` says ``"labelled_frames": true``, ``labelled_frames.parquet`` names the frames that somebody
looked at, those without any actor among them. Without it, the frames that have a box are the labelled ones; of the
others a pool does not say whether anybody saw them, so that nothing is learned from them. Who measures against such a
pool, or asks it for answers, takes its tubes for the whole truth all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.identity import content_hash
from hybridal_ray.pool.table_checks import FORMAT_VERSION, check_description, check_frames, check_tubes, check_videos

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
            actor; None where the pool does not tell, and only the frames with a box are known to be labelled.
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

    def left_out(self, split: str) -> int:
        """How many videos of a split are not among its `usable_videos`: missing, unreadable or without a frame."""
        usable = (pc.field("status") == "ok") & (pc.field("num_frames") > 0)
        return len(self.videos.filter((pc.field("split") == split) & ~usable))

    def tubes_of(self, video_ids: Sequence[str]) -> pa.Table:
        """The rows of `tubes` that belong to the given videos."""
        return self.tubes.filter(pc.is_in(self.tubes["video_id"], pa.array(list(video_ids), pa.string())))

    def labelled_frames_of(self, video_ids: Sequence[str]) -> dict[str, list[int]] | None:
        """The frames of each of the given videos that were looked at, ascending; None where the pool does not tell."""
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
    forget_pool(pool.root)
    table_files.write_table(storage.join(pool.root, "videos.parquet"), pool.videos.cast(VIDEOS_SCHEMA))
    table_files.write_table(storage.join(pool.root, "tubes.parquet"), pool.tubes.cast(TUBES_SCHEMA))
    description: dict[str, Any] = {"format_version": FORMAT_VERSION, "name": pool.name, "classes": list(pool.classes)}
    if pool.looked_at is not None:
        frames = pool.looked_at.cast(LABELLED_FRAMES_SCHEMA)
        table_files.write_table(storage.join(pool.root, "labelled_frames.parquet"), frames)
        description["labelled_frames"] = True
    storage.write_json(storage.join(pool.root, "pool.json"), description)


def forget_pool(root: str) -> None:
    """Deletes ``pool.json``, before the files that it stands for are replaced."""
    storage.remove(storage.join(root, "pool.json"))


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
    check_description(location, description)
    pool = Pool(
        root=root,
        name=description["name"],
        classes=tuple(description["classes"]),
        videos=table_files.read_table(storage.join(root, "videos.parquet"), VIDEOS_SCHEMA),
        tubes=load_tubes(root),
        looked_at=_read_looked_at(root) if description.get("labelled_frames") else None,
    )
    check_videos(pool.videos, storage.join(root, "videos.parquet"))
    check_tubes(pool.tubes, pool.videos, len(pool.classes), storage.join(root, "tubes.parquet"))
    if pool.looked_at is not None:
        check_frames(pool.looked_at, pool.videos, storage.join(root, "labelled_frames.parquet"))
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
    table = table_files.read_table(storage.join(root, "tubes.parquet"), pa.schema(fields), encoded=ids)
    return table.unify_dictionaries()


def _read_looked_at(root: str) -> pa.Table:
    return table_files.read_table(storage.join(root, "labelled_frames.parquet"), LABELLED_FRAMES_SCHEMA)
