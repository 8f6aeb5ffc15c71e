"""Predictions out of Parquet files, some whole videos at a time, so that no file has to fit into memory."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.columns import ROWS_AT_ONCE
from hybridal_ray.pool import storage
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA

TEXTS = ["video_id", "tube_id"]  # read as dictionaries: a few bytes a row


def prediction_tables(location: str) -> Iterator[pa.Table]:
    """Reads the predictions of a file, or of all files of a directory, each video whole.

    Args:
        location: Parquet of `PREDICTIONS_SCHEMA`, in any order; path or URI.

    Yields:
        Tables with the columns of `PREDICTIONS_SCHEMA`, texts as dictionaries. Where the rows of a file go by
        video, of a million rows or so; at worst the whole file.

    Raises:
        UserError: There is no file, it is not Parquet, or lacks a column.
    """
    files = [location] if location.endswith(".parquet") else _parts(location)
    if not files or not storage.exists(files[0]):
        raise UserError(f"{location}: no predictions are there; expected a Parquet file, or a directory of some")
    for file in files:
        system, path = storage.filesystem(file)
        with system.open_input_file(path) as stream:
            yield from _tables(stream, file)


def _parts(directory: str) -> list[str]:
    """The part files of a pass; of a chunk that was split and finished whole after all, the whole counts."""
    files = {file: file.rpartition("/")[2] for file in storage.list_files(directory, suffix=".parquet")}
    whole = set(files.values())
    return [file for file, name in files.items() if f"{name.rpartition('-')[0]}.parquet" not in whole]


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


def _tables(stream: pa.NativeFile, source: str) -> Iterator[pa.Table]:
    try:
        parquet = pq.ParquetFile(stream, read_dictionary=TEXTS)
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{source}: cannot be read as Parquet: {error}") from error
    missing = [name for name in PREDICTIONS_SCHEMA.names if name not in parquet.schema_arrow.names]
    if missing:
        raise UserError(f"{source}: column {missing[0]!r} is missing, expected {', '.join(PREDICTIONS_SCHEMA.names)}")
    for groups in _whole_videos(parquet):
        yield parquet.read_row_groups(groups, columns=PREDICTIONS_SCHEMA.names)


def _whole_videos(parquet: pq.ParquetFile) -> Iterator[Sequence[int]]:
    """Row groups that share no video with others, joined until there are `ROWS_AT_ONCE` rows."""
    videos = [
        pc.unique(parquet.read_row_group(group, columns=["video_id"])["video_id"]).to_pylist()
        for group in range(parquet.num_row_groups)
    ]
    last = {video: group for group, those in enumerate(videos) for video in those}
    together: list[int] = []
    rows, until = 0, 0
    for group, those in enumerate(videos):
        together.append(group)
        rows += parquet.metadata.row_group(group).num_rows
        until = max([until, *(last[video] for video in those)])
        if until == group and (rows >= ROWS_AT_ONCE or group == len(videos) - 1):
            yield together
            together, rows = [], 0
