"""Tables as Parquet files, on a local path or in an object store, written atomically (`storage`)."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage


def read_table(location: str, schema: pa.Schema | None = None, encoded: Sequence[str] = ()) -> pa.Table:
    """Reads a Parquet file.

    Args:
        location: The file.
        schema: What its table must hold; further columns are left out. None takes the table as it is.
        encoded: Columns that `schema` has as dictionaries of strings: each string is then held once, and read as
            fast as a number.

    Raises:
        UserError: There is no such file, it is not Parquet, or a column of the schema is missing, of another
            type, or null where it must not be; the message names file and column.
    """
    content = storage.read_bytes(location)
    try:
        found = pq.read_schema(pa.BufferReader(content))
        columns = [name for name in found.names if schema is None or name in schema.names]
        _refuse_twice(columns, location)
        # A list or struct is no dictionary, and a column that is not there none either: both fail without their name.
        flat = [name for name in encoded if name in columns and not pa.types.is_nested(found.field(name).type)]
        table = parquet_table(content, columns, flat)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{location}: not a readable Parquet file: {error}") from error
    return table if schema is None else _conform(table, schema, location)


def parquet_table(content: bytes, columns: Sequence[str] | None = None, encoded: Sequence[str] = ()) -> pa.Table:
    """Reads a Parquet file that is in memory.

    By this thread alone, and not through `pyarrow.parquet.read_table`, whose scanner has its own: a thread that lets go
    of the bytes while the interpreter ends, as it does right after an error of the user's, aborts the process.

    Args:
        content: Of the file.
        columns: To read, None for all; each there once.
        encoded: Columns of text, there, to read as dictionaries.

    Raises:
        pa.ArrowException: It is damaged or no Parquet.
        OSError: Likewise.
    """
    file = pq.ParquetFile(pa.BufferReader(content), read_dictionary=list(encoded))
    return file.read(columns=None if columns is None else list(columns), use_threads=False)


def _refuse_twice(names: Sequence[str], location: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{location}: column {name!r} is there {names.count(name)} times, expected once")


def _conform(table: pa.Table, schema: pa.Schema, location: str) -> pa.Table:
    columns = []
    for wanted in schema:
        if wanted.name not in table.column_names:
            raise UserError(f"{location}: column {wanted.name!r} is missing")
        narrow = table.select([wanted.name])
        try:
            columns.append(narrow.cast(pa.schema([wanted])).column(0))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
            raise UserError(f"{location}: column {wanted.name!r}: {error}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def write_table(location: str, table: pa.Table) -> None:
    """Writes a Parquet file atomically.

    Vectors are written as they are, all else as dictionaries: the numbers of a latent hardly repeat. Scores take a
    third less space for it, and a fifth of the time in parts of a thousand (docs/scaling.md).
    """
    sink = pa.BufferOutputStream()
    repeating = [leaf for field in table.schema for leaf in _leaves_but_vectors(field.type, field.name)]
    pq.write_table(table, sink, compression="zstd", use_dictionary=repeating)
    storage.write_bytes(location, sink.getvalue().to_pybytes())


def _leaves_but_vectors(kind: pa.DataType, path: str) -> list[str]:
    """The names that Parquet has for the values in a column, those of lists of floats left out."""
    if pa.types.is_list(kind):
        vector = pa.types.is_floating(kind.value_type)
        return [] if vector else _leaves_but_vectors(kind.value_type, f"{path}.list.element")
    if pa.types.is_struct(kind):
        fields = (kind.field(index) for index in range(kind.num_fields))
        return [leaf for field in fields for leaf in _leaves_but_vectors(field.type, f"{path}.{field.name}")]
    return [path]
