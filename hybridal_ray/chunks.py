"""The parts of a pass over videos: what a worker says of the videos of a chunk, written as one file.

Nothing here knows Ray; `hybridal_ray.dispatch` decides who processes which chunk.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.chunk_plan import Chunk
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.tables import Video
from hybridal_ray.storage_patience import may_pass, patiently

Row = dict[str, Any]
ErrorRow = Callable[[Video, str], Row | None]
Progress = Callable[[int, int], None]

FAILED_KEY = b"hybridal.failed"
LONGEST_REASON = 500  # characters


class ChunkWorker(Protocol):
    """Turns videos into rows of a table; made once in each process that works on the pass."""

    def process(self, videos: Sequence[Video]) -> list[Row]:
        """The rows of some videos, in their order.

        A pass asks for one video at a time. A row whose ``error`` is not null says that its video failed; an
        exception does so too.
        """
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A worker that can begin with the next video, by decoding it, while it is at the one before."""

    def expect(self, video: Video) -> None:
        """Told the video that it will be asked for after the present one."""
        ...


@dataclass(frozen=True)
class ChunkReport:
    """What is known of a chunk once its part is written.

    Attributes:
        videos: How many it holds.
        frames: Of its videos.
        failed: Reason by video id.
    """

    videos: int
    frames: int
    failed: Mapping[str, str]


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
        """Has a worker process a chunk, and writes its part at once and whole; videos that raise are set aside.

        Raises:
            UserError: Storage could not be written to, and not only for a moment.
        """
        tables: list[pa.Table] = []
        failed: dict[str, str] = {}
        for index, video in enumerate(chunk.videos):
            if isinstance(worker, LooksAhead):
                for following in chunk.videos[index + 1 : index + 2]:
                    worker.expect(following)
            try:
                table = self._table(worker.process([video]))
                failed.update(_failures(table))
            except Exception as error:
                if isinstance(error, UserError) and may_pass(error):
                    raise  # storage failed, and for long: no fault of the video's
                table, reason = self._error_table([video], f"{type(error).__name__}: {error}")
                failed.update(reason)
            tables.append(table)
        return self._write(chunk, pa.concat_tables(tables), failed)

    def set_aside(self, chunk: Chunk, reason: str) -> ChunkReport:
        """Writes the part of a chunk of which nothing can be known, for the same reason of all its videos."""
        table, failed = self._error_table(chunk.videos, reason)
        return self._write(chunk, table, failed)

    def recorded(self, chunk: Chunk) -> ChunkReport | None:
        """What the part of a chunk says of it, or None where there is no part yet."""
        location = self.location(chunk)

        def read() -> ChunkReport | None:
            if not storage.exists(location):
                return None
            system, path = storage.filesystem(location)
            with system.open_input_file(path) as file:
                metadata = pq.read_schema(file).metadata or {}
            return ChunkReport(len(chunk.videos), chunk.frames, json.loads(metadata.get(FAILED_KEY, b"{}")))

        return patiently(read)

    def names(self) -> set[str]:
        """The names of the parts that are there."""
        files = patiently(lambda: storage.list_files(self.directory, suffix=".parquet"))
        return {file.rpartition("/")[2].removesuffix(".parquet") for file in files}

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
        table = table.replace_schema_metadata(metadata)
        patiently(lambda: table_files.write_table(self.location(chunk), table))
        return ChunkReport(len(chunk.videos), chunk.frames, failed)


def part_files(directory: str) -> list[str]:
    """Where the parts of a pass lie that hold its rows, in the order of their names."""
    files = {file: file.rpartition("/")[2] for file in storage.list_files(directory, suffix=".parquet")}
    whole = set(files.values())
    # Should an actor cut off from the cluster finish a chunk after it was split, the whole chunk counts.
    return [file for file, name in files.items() if f"{name.rpartition('-')[0]}.parquet" not in whole]


def read_parts(directory: str, schema: pa.Schema) -> pa.Table:
    """All rows of a pass, part after part in the order of their names (empty when there is none)."""
    parts = (table_files.read_table(file).cast(schema) for file in part_files(directory))
    return pa.concat_tables([schema.empty_table(), *parts])


def _failures(table: pa.Table) -> dict[str, str]:
    if "error" not in table.column_names:
        return {}
    pairs = zip(table["video_id"].to_pylist(), table["error"].to_pylist(), strict=True)
    return {video_id: error for video_id, error in pairs if error is not None}
