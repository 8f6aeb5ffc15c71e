"""Predictions out of Parquet files, some whole videos at a time, so that no file has to fit into memory."""

from collections.abc import Iterator

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
        video, of a row group or so; at worst, in no order at all, the whole file.

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
    yield from _whole_videos(parquet)


def _whole_videos(parquet: pq.ParquetFile) -> Iterator[pa.Table]:
    """Reads row group by row group, and holds videos back until the last of their rows has come."""
    groups = range(parquet.num_row_groups)
    videos = [
        pc.unique(parquet.read_row_group(group, columns=["video_id"])["video_id"]).to_pylist() for group in groups
    ]
    last = {video: group for group, those in enumerate(videos) for video in those}
    waiting: list[pa.Table] = []
    for group in groups:
        waiting.append(parquet.read_row_group(group, columns=PREDICTIONS_SCHEMA.names))
        if sum(map(len, waiting)) < ROWS_AT_ONCE and group != groups[-1]:
            continue
        table = pa.concat_tables(waiting).unify_dictionaries()
        missing = pa.array([video for video, end in last.items() if end > group], pa.string())
        incomplete = pc.is_in(table["video_id"].cast(pa.string()), value_set=missing)
        yield table.filter(pc.invert(incomplete))
        waiting = [table.filter(incomplete)]
