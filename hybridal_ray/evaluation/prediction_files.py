"""Predictions out of Parquet files, some whole videos at a time, so that no file has to fit into memory."""

import re
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.columns import ROWS_AT_ONCE
from hybridal_ray.pool import storage
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA

_PIECE = re.compile(r"part-\d+-\d+\.parquet")  # of a chunk that was split
TEXTS = ["video_id", "tube_id"]  # read as dictionaries: a few bytes a row
WHOLE_NUMBERS = ("frame", "class_id")


def prediction_tables(location: str) -> Iterator[pa.Table]:
    """Reads the predictions of a file, or of all files of a directory, each video whole.

    Args:
        location: Parquet of `PREDICTIONS_SCHEMA`, in any order; path or URI.

    Yields:
        Tables with the columns of `PREDICTIONS_SCHEMA`, texts as dictionaries. Where the rows of a file go by
        video, of a row group or so; at worst, in no order at all, the whole file.

    Raises:
        UserError: There is no file, it is not Parquet, or a column is missing, of another type, or has nulls.
    """
    for file in _files(location):
        system, path = storage.filesystem(file)
        try:
            stream = system.open_input_file(path)
        except OSError as error:
            raise UserError(f"{file}: cannot be read: {error}") from error
        with stream:
            yield from _whole_videos(_Predictions(stream, file))


def _files(location: str) -> list[str]:
    if storage.is_directory(location):
        files = _parts(location)
    else:
        files = [location] if storage.exists(location) else []
        if files and not location.endswith(".parquet"):
            raise UserError(f"{location}: found a file, expected a name in .parquet, or a directory of such files")
    if not files:
        raise UserError(f"{location}: no predictions are there; expected a Parquet file, or a directory of some")
    return files


def _parts(directory: str) -> list[str]:
    """The part files of a pass; of a chunk that was split and finished whole after all, the whole counts."""
    files = {file: file.rpartition("/")[2] for file in storage.list_files(directory, suffix=".parquet")}
    whole = set(files.values())
    return [file for file, name in files.items() if not _PIECE.fullmatch(name) or _whole_of(name) not in whole]


def _whole_of(piece: str) -> str:
    return f"{piece.rpartition('-')[0]}.parquet"


def join_predictions(directory: str, location: str) -> int:
    """Writes the predictions of a directory into one file, portion by portion.

    Returns:
        The rows written.
    """
    system, path = storage.filesystem(location)
    if not storage.is_uri(location):
        system.create_dir(path.rpartition("/")[0])
    partial = f"{path}.partial"
    rows = 0
    with pq.ParquetWriter(partial, PREDICTIONS_SCHEMA, filesystem=system) as writer:
        for table in prediction_tables(directory):
            writer.write_table(table.cast(PREDICTIONS_SCHEMA))
            rows += len(table)
    system.move(partial, path)
    return rows


class _Predictions:
    """A Parquet file whose columns are known to be those of predictions before any of them is read.

    Args:
        stream: The open file.
        source: Its name, for messages.

    Raises:
        UserError: It is not Parquet, or a column is missing or of another type.
    """

    def __init__(self, stream: pa.NativeFile, source: str) -> None:
        self._source = source
        try:
            plain = pq.ParquetFile(stream)
            # Looked at first: to read a column as a dictionary that is not there, or no text, fails without its name.
            _check_schema(plain.schema_arrow, source)
            self._file = pq.ParquetFile(stream, metadata=plain.metadata, read_dictionary=TEXTS)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{source}: cannot be read as Parquet: {error}") from error

    @property
    def groups(self) -> range:
        """The row groups."""
        return range(self._file.num_row_groups)

    def read(self, group: int, columns: Sequence[str]) -> pa.Table:
        """Some columns of a row group.

        Raises:
            UserError: They are damaged, hold a null, or a frame or class that is no whole number.
        """
        try:
            table = self._file.read_row_group(group, columns=list(columns)).select(columns)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{self._source}: cannot be read as Parquet: {error}") from error
        for name in columns:
            if table[name].null_count:
                raise UserError(f"{self._source}: column {name!r} has {table[name].null_count} nulls, expected none")
            if name in WHOLE_NUMBERS and pa.types.is_floating(table[name].type):
                table = table.set_column(table.column_names.index(name), name, self._whole(table[name], name))
        return table

    def _whole(self, numbers: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        try:
            return numbers.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise UserError(f"{self._source}: column {name!r}: {error}; expected whole numbers") from error


def _check_schema(found: pa.Schema, source: str) -> None:
    for name in PREDICTIONS_SCHEMA.names:
        if name not in found.names:
            raise UserError(f"{source}: column {name!r} is missing, expected {', '.join(PREDICTIONS_SCHEMA.names)}")
        if (times := found.names.count(name)) > 1:
            raise UserError(f"{source}: column {name!r} is there {times} times, expected once")
        kind = found.field(name).type
        if name in TEXTS and not _is_text(kind):
            raise UserError(f"{source}: column {name!r} is of type {kind}, expected text")
        if name not in TEXTS and not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise UserError(f"{source}: column {name!r} is of type {kind}, expected numbers")


def _is_text(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _whole_videos(file: _Predictions) -> Iterator[pa.Table]:
    """Reads row group by row group, and holds videos back until the last of their rows has come."""
    groups = file.groups
    videos = [pc.unique(file.read(group, ["video_id"])["video_id"]).to_pylist() for group in groups]
    last = {video: group for group, those in enumerate(videos) for video in those}
    waiting: list[pa.Table] = []
    for group in groups:
        waiting.append(file.read(group, PREDICTIONS_SCHEMA.names))
        if sum(map(len, waiting)) < ROWS_AT_ONCE and group != groups[-1]:
            continue
        table = pa.concat_tables(waiting).unify_dictionaries()
        missing = pa.array([video for video, end in last.items() if end > group], pa.string())
        incomplete = pc.is_in(table["video_id"].cast(pa.string()), value_set=missing)
        yield table.filter(pc.invert(incomplete))
        waiting = [table.filter(incomplete)]
