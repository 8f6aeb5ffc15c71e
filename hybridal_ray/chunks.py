"""A pass over videos in chunks, each of which leaves one part file: the plan, the parts, what is left to do.

The plan is a function of the videos alone, so a pass that was cut off finds in its directory what it need not do
again. Nothing here knows Ray; `hybridal_ray.dispatch` decides who processes which chunk.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video

Row = dict[str, Any]
ErrorRow = Callable[[Video, str], Row | None]
Progress = Callable[[int, int], None]

PLAN_FILE = "pass.json"
FAILED_KEY = b"hybridal.failed"
LONGEST_REASON = 500  # characters


class ChunkWorker(Protocol):
    """Turns videos into rows of a table; made once in each process that works on the pass."""

    def process(self, videos: Sequence[Video]) -> list[Row]:
        """The rows of some videos, in their order.

        What it says of a video must not depend on the videos beside it. A row whose ``error`` is not null says
        that its video failed. An exception fails one video: the others are asked for again without it.
        """
        ...


@dataclass(frozen=True)
class Chunk:
    """Videos that are processed and written together.

    Attributes:
        name: Of its part file, without the ending.
        videos: In the order of their rows.
    """

    name: str
    videos: tuple[Video, ...]

    def singles(self) -> list["Chunk"]:
        """The same videos, each in a chunk of its own, for when one of them takes its process down."""
        return [Chunk(f"{self.name}-{index:04d}", (video,)) for index, video in enumerate(self.videos)]


@dataclass(frozen=True)
class ChunkReport:
    """What is known of a chunk once its part is written.

    Attributes:
        videos: How many it holds.
        failed: Reason by video id.
    """

    videos: int
    failed: Mapping[str, str]


class Tally:
    """Counts what is done, and tells the caller.

    Args:
        total: Videos of the pass.
        progress: Called with the videos done and `total`.

    Attributes:
        failed: Reason by video id.
    """

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.failed: dict[str, str] = {}
        self._done = 0
        self._total = total
        self._progress = progress

    def resume(self, reports: Sequence[ChunkReport]) -> None:
        """Counts what an earlier attempt left, and tells once."""
        for report in reports:
            self._count(report)
        self._tell()

    def add(self, report: ChunkReport) -> None:
        """Counts a chunk, and tells."""
        self._count(report)
        self._tell()

    def _count(self, report: ChunkReport) -> None:
        self._done += report.videos
        self.failed.update(report.failed)

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True)
class Parts:
    """The part files of a pass. Picklable: actors write them, the driver only looks which are there.

    Attributes:
        directory: Path or URI.
        schema: Of the rows.
        error_row: The row that stands for a video that failed, or None where such a video leaves no row.
    """

    directory: str
    schema: pa.Schema
    error_row: ErrorRow

    def location(self, chunk: Chunk) -> str:
        """Where the part of a chunk lies, or will."""
        return storage.join(self.directory, f"{chunk.name}.parquet")

    def process(self, worker: ChunkWorker, chunk: Chunk) -> ChunkReport:
        """Has a worker process a chunk, and writes its part at once and whole.

        Where the chunk raises, its videos are processed one by one, and those that raise alone are set aside.
        """
        try:
            table = self._table(worker.process(chunk.videos))
        except Exception as error:
            if len(chunk.videos) == 1:
                return self.set_aside(chunk, f"{type(error).__name__}: {error}")
            return self._process_singly(worker, chunk)
        return self._write(chunk, table, _failures(table))

    def set_aside(self, chunk: Chunk, reason: str) -> ChunkReport:
        """Writes the part of a chunk of which nothing can be known, for the same reason of all its videos."""
        table, failed = self._error_table(chunk.videos, reason)
        return self._write(chunk, table, failed)

    def recorded(self, chunk: Chunk) -> ChunkReport | None:
        """What the part of a chunk says of it, or None where there is no part yet."""
        location = self.location(chunk)
        if not storage.exists(location):
            return None
        system, path = storage.filesystem(location)
        with system.open_input_file(path) as file:
            metadata = pq.read_schema(file).metadata or {}
        return ChunkReport(len(chunk.videos), json.loads(metadata.get(FAILED_KEY, b"{}")))

    def names(self) -> set[str]:
        """The names of the parts that are there."""
        files = storage.list_files(self.directory, suffix=".parquet")
        return {file.rpartition("/")[2].removesuffix(".parquet") for file in files}

    def _process_singly(self, worker: ChunkWorker, chunk: Chunk) -> ChunkReport:
        tables: list[pa.Table] = []
        failed: dict[str, str] = {}
        for video in chunk.videos:
            try:
                table = self._table(worker.process([video]))
                failed.update(_failures(table))
            except Exception as error:
                table, reason = self._error_table([video], f"{type(error).__name__}: {error}")
                failed.update(reason)
            tables.append(table)
        return self._write(chunk, pa.concat_tables(tables), failed)

    def _error_table(self, videos: Sequence[Video], reason: str) -> tuple[pa.Table, dict[str, str]]:
        reason = reason[:LONGEST_REASON]
        rows = [self.error_row(video, reason) for video in videos]
        return self._table([row for row in rows if row is not None]), {video.video_id: reason for video in videos}

    def _table(self, rows: list[Row]) -> pa.Table:
        table = pa.Table.from_pylist(rows, schema=self.schema)
        table.validate()
        return table

    def _write(self, chunk: Chunk, table: pa.Table, failed: Mapping[str, str]) -> ChunkReport:
        metadata = {FAILED_KEY: json.dumps(dict(failed), sort_keys=True)}
        storage.write_table(self.location(chunk), table.replace_schema_metadata(metadata))
        return ChunkReport(len(chunk.videos), failed)


def plan_chunks(videos: Sequence[Video], directory: str, videos_per_chunk: int) -> list[Chunk]:
    """Divides the videos into chunks, long videos first, so that no long one is left for the end.

    The first call notes in the directory what it divided; a later one keeps to that size of chunk, so that the
    parts that are there stay valid.

    Args:
        videos: Each id once.
        directory: Where the parts go.
        videos_per_chunk: At least 1.

    Raises:
        UserError: The directory holds a pass over other videos.
        ValueError: A video id appears twice.
    """
    ordered = sorted(videos, key=lambda video: (-video.num_frames, video.video_id))
    ids = [video.video_id for video in ordered]
    if len(set(ids)) != len(ids):
        raise ValueError("a video id appears twice in the videos of a pass")
    plan: dict[str, Any] = {
        "videos": len(ids),
        "videos_digest": hashlib.blake2b(json.dumps(ids).encode(), digest_size=8).hexdigest(),
        "videos_per_chunk": videos_per_chunk,
    }
    location = storage.join(directory, PLAN_FILE)
    if storage.exists(location):
        begun = storage.read_json(location)
        if begun["videos_digest"] != plan["videos_digest"]:
            raise UserError(
                f"{directory}: holds the parts of a pass over {begun['videos']} other videos, expected these "
                f"{plan['videos']} or an empty directory; remove it to begin anew"
            )
        plan = begun
    else:
        storage.write_json(location, plan)
    size = plan["videos_per_chunk"]
    starts = range(0, len(ordered), size)
    return [Chunk(f"part-{i:05d}", tuple(ordered[start : start + size])) for i, start in enumerate(starts)]


def divide_by_progress(chunks: Sequence[Chunk], present: Collection[str]) -> tuple[list[Chunk], list[Chunk]]:
    """Tells the chunks whose part is there from those still to do.

    A chunk that an earlier attempt had split goes on split.

    Args:
        chunks: The plan.
        present: Names of the parts that are there.

    Returns:
        Done, to do; between them they hold every video once.
    """
    done: list[Chunk] = []
    to_do: list[Chunk] = []
    for chunk in chunks:
        singles = chunk.singles()
        split = chunk.name not in present and any(single.name in present for single in singles)
        for piece in singles if split else [chunk]:
            (done if piece.name in present else to_do).append(piece)
    return done, to_do


def part_files(directory: str) -> list[str]:
    """Where the parts of a pass lie that hold its rows, in the order of their names."""
    files = {file: file.rpartition("/")[2] for file in storage.list_files(directory, suffix=".parquet")}
    whole = set(files.values())
    # Should an actor cut off from the cluster finish a chunk after it was split, the whole chunk counts.
    return [file for file, name in files.items() if f"{name.rpartition('-')[0]}.parquet" not in whole]


def read_parts(directory: str, schema: pa.Schema) -> pa.Table:
    """All rows of a pass, part after part in the order of their names (empty when there is none)."""
    parts = (storage.read_table(file).cast(schema) for file in part_files(directory))
    return pa.concat_tables([schema.empty_table(), *parts])


def _failures(table: pa.Table) -> dict[str, str]:
    if "error" not in table.column_names:
        return {}
    pairs = zip(table["video_id"].to_pylist(), table["error"].to_pylist(), strict=True)
    return {video_id: error for video_id, error in pairs if error is not None}
