"""The file that tells the cluster of every video, written while the pool streams by."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.round_tables import CLUSTERS_SCHEMA

BYTES_PER_VIDEO = 128  # of memory: an id of some twenty letters and a number, held, joined and in sorted order


class ClusterRows:
    """Collects the cluster of each video and writes what it holds, ordered by video id, when that grows too large.

    So a pool that fits in memory is written in order as a whole, a larger one in runs that are each in order.

    Args:
        writer: Gets the rows; None drops them.
        memory_bytes: What the rows held at once may take.
    """

    def __init__(self, writer: pq.ParquetWriter | None, memory_bytes: int) -> None:
        self._writer = writer
        self._most = max(memory_bytes // BYTES_PER_VIDEO, 1)
        self._held: list[pa.Table] = []
        self._count = 0

    def add(self, video_ids: pa.ChunkedArray, clusters: npt.NDArray[np.integer]) -> None:
        """Takes the clusters of some videos, (V,) and (V,)."""
        if self._writer is None:
            return
        self._held.append(pa.table([video_ids, clusters.astype(np.int32)], schema=CLUSTERS_SCHEMA))
        self._count += len(clusters)
        if self._count >= self._most:
            self.flush()

    def flush(self) -> None:
        """Writes the rows that are held."""
        if self._writer is not None and self._held:
            self._writer.write_table(pa.concat_tables(self._held).sort_by("video_id"))
        self._held, self._count = [], 0


@contextmanager
def cluster_rows(location: str | None, memory_bytes: int) -> Iterator[ClusterRows]:
    """A place for the cluster of each video; the file appears, whole, when the block ends without an error.

    Args:
        location: Of a Parquet file of `CLUSTERS_SCHEMA`, path or URI; None leaves none.
        memory_bytes: What the rows held at once may take.

    Raises:
        UserError: The file cannot be written.
    """
    if location is None:
        yield ClusterRows(None, memory_bytes)
        return
    system, path = storage.filesystem(location)
    local = isinstance(system, pafs.LocalFileSystem)
    # A local file is written beside its place, under a name of its own, so that what a killed attempt leaves of it is
    # written over by the next. An object appears when its upload ends, be it by an error: then the stage is not done
    # either, and the next attempt replaces it.
    folder, _, name = path.rpartition("/")
    begun = f"{folder}/.{name}.partial" if local else path
    try:
        system.create_dir(folder)
        with pq.ParquetWriter(begun, CLUSTERS_SCHEMA, filesystem=system, compression="zstd") as writer:
            rows = ClusterRows(writer, memory_bytes)
            yield rows
            rows.flush()
        if local:
            storage.publish(begun, location)
    except OSError as error:
        raise UserError(f"{location}: cannot be written: {error}") from error
    finally:
        if local:
            with suppress(OSError):
                system.delete_file(begun)
