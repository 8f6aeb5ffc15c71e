"""What a pool is recognised by: a hash of its content, the same wherever it lies."""

import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

ROWS_AT_ONCE = 1 << 16


def content_hash(name: str, classes: Sequence[str], tables: Sequence[tuple[pa.Table, pa.Schema, Sequence[str]]]) -> str:
    """Hashes rows in a canonical order.

    Args:
        name: Of the pool.
        classes: Its class names.
        tables: Each with its schema and the names of the columns that do not count.

    Returns:
        16 hexadecimal digits (BLAKE2b).
    """
    digest = hashlib.blake2b(json.dumps([name, list(classes)]).encode(), digest_size=8)
    for table, schema, left_out in tables:
        counted = [column for column in schema.names if column not in left_out]
        ordered = table.cast(schema).select(counted).sort_by([(column, "ascending") for column in counted])
        for column in ordered.combine_chunks().columns:
            for first in range(0, len(column), ROWS_AT_ONCE):
                digest.update(_content(column.slice(first, ROWS_AT_ONCE)))
    return digest.hexdigest()


def _content(values: pa.ChunkedArray) -> bytes:
    """The values of a column, numbers by their bytes."""
    if values.null_count == 0 and (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        numbers = values.to_numpy()
        return np.ascontiguousarray(numbers, dtype=numbers.dtype.newbyteorder("<")).tobytes()
    return json.dumps(values.to_pylist()).encode()
