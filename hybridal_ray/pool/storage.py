"""Files of a pool or a run, on a local path or in an object store (``s3://``, ``gs://``), written atomically.

On a local path a file appears under its name only when it is whole (written beside, synced, renamed). An object
store makes an object visible when its upload ends, which is the same promise.
"""

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError


def is_uri(location: str) -> bool:
    """Whether a location names a scheme (``s3://…``) instead of a path of this machine."""
    return "://" in location


def join(root: str, *parts: str) -> str:
    """A location below `root`, with forward slashes, for paths and URIs alike."""
    return "/".join([root.rstrip("/") or "/", *parts]) if parts else root


def resolve_uri(uri: str, root: str) -> str:
    """Makes a video's location absolute: URIs and absolute paths stay, others are taken relative to `root`."""
    return uri if is_uri(uri) or os.path.isabs(uri) else join(root, uri)


def filesystem(location: str) -> tuple[pafs.FileSystem, str]:
    """The file system that a location lies on, and its path there.

    Raises:
        UserError: The scheme is not known to PyArrow.
    """
    if not is_uri(location):
        return pafs.LocalFileSystem(), os.path.abspath(location)
    try:
        return pafs.FileSystem.from_uri(location)
    except (pa.ArrowInvalid, ValueError) as error:
        raise UserError(f"{location}: {error}") from error


def exists(location: str) -> bool:
    """Whether a file or directory is there."""
    system, path = filesystem(location)
    return system.get_file_info(path).type != pafs.FileType.NotFound


def list_files(location: str, suffix: str = "") -> list[str]:
    """The files directly inside a directory, by name; none when the directory does not exist."""
    system, path = filesystem(location)
    selector = pafs.FileSelector(path, allow_not_found=True)
    names = [info.base_name for info in system.get_file_info(selector) if info.type == pafs.FileType.File]
    return [join(location, name) for name in sorted(names) if name.endswith(suffix)]


def read_bytes(location: str) -> bytes:
    """The whole content of a file.

    Raises:
        UserError: There is no such file.
    """
    system, path = filesystem(location)
    try:
        with system.open_input_stream(path) as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise UserError(f"{location}: no such file") from error


def write_bytes(location: str, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part; parents are created."""
    system, path = filesystem(location)
    if not isinstance(system, pafs.LocalFileSystem):
        with system.open_output_stream(path) as stream:
            stream.write(content)
        return
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def read_json(location: str) -> Any:
    """Parses a JSON file.

    Raises:
        UserError: There is no such file, or it is not JSON.
    """
    try:
        return json.loads(read_bytes(location))
    except ValueError as error:
        raise UserError(f"{location}: not valid JSON: {error}") from error


def write_json(location: str, content: Any) -> None:
    """Writes a JSON file atomically, with sorted keys, so that equal content is equal bytes."""
    write_bytes(location, (json.dumps(content, indent=1, sort_keys=True) + "\n").encode())


def read_table(location: str) -> pa.Table:
    """Reads a Parquet file.

    Raises:
        UserError: There is no such file, or it is not Parquet.
    """
    content = read_bytes(location)
    try:
        return pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{location}: not a readable Parquet file: {error}") from error


def write_table(location: str, table: pa.Table) -> None:
    """Writes a Parquet file atomically."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    write_bytes(location, sink.getvalue().to_pybytes())
