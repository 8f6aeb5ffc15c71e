"""The scores of a pool, batch after batch, so that a pool need not fit in memory to be selected from."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.chunks import part_files
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.round_tables import SCORES_SCHEMA


class ScoreBatches(Protocol):
    """Rows of `SCORES_SCHEMA`, a video each, that can be gone through more than once, in the same order."""

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Goes through the scores.

        Args:
            columns: Of `SCORES_SCHEMA`; what is not named is not read.
            rows: Of each batch, at least 1; the last one may hold fewer.

        Yields:
            Tables of these columns. Where their rows were cut does not depend on the files they lie in.

        Raises:
            UserError: They cannot be read.
        """
        ...


@dataclass(frozen=True)
class ScoreTable:
    """Scores that are in memory.

    Attributes:
        table: Of `SCORES_SCHEMA`.
    """

    table: pa.Table

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """See `ScoreBatches`."""
        return cut_anew([self.table.select(columns)], rows)


@dataclass(frozen=True)
class ScoreParts:
    """Scores in the part files of a scoring pass. Only their location travels to the process that reads them.

    Attributes:
        directory: Path or URI; without any part there are no rows.
    """

    directory: str

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """See `ScoreBatches`."""
        schema = pa.schema([SCORES_SCHEMA.field(column) for column in columns])
        pieces = (piece for file in part_files(self.directory) for piece in _read_part(file, schema, rows))
        return cut_anew(pieces, rows)


def cut_anew(pieces: Iterable[pa.Table], rows: int) -> Iterator[pa.Table]:
    """Joins tables and cuts them into tables of `rows` rows, in their order; only the last may hold fewer."""
    waiting: list[pa.Table] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < rows:
            continue
        joined = pa.concat_tables(waiting)
        whole = count - count % rows
        for start in range(0, whole, rows):
            yield joined.slice(start, rows).combine_chunks()
        waiting, count = [joined.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(waiting).combine_chunks()


def _read_part(location: str, schema: pa.Schema, rows: int) -> Iterator[pa.Table]:
    system, path = storage.filesystem(location)
    try:
        with system.open_input_file(path) as file, pq.ParquetFile(file) as part:
            for batch in part.iter_batches(rows, columns=schema.names, use_threads=False):
                yield pa.Table.from_batches([batch]).select(schema.names).cast(schema)
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise UserError(f"{location}: not a readable part of the scores: {error}") from error
