"""Files of a pool or a run, on a local path or in an object store (``s3://``, ``gs://``), written atomically.

On a local path a file appears under its name only when it is whole (written beside, synced, renamed). An object
store makes an object visible when its upload ends, which is the same promise. Keys are taken literally, whatever
characters they hold; how a store is reached is told by its usual environment variables (``AWS_ENDPOINT_URL``, …).
"""

import hashlib
import json
import os
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.fs as pafs

from hybridal_ray.errors import UserError


def is_uri(location: str) -> bool:
    """Whether a location names a scheme (``s3://…``) instead of a path of this machine."""
    return "://" in location


def join(root: str, *parts: str) -> str:
    """A location below `root`, with forward slashes, for paths and URIs alike."""
    return "/".join([root.rstrip("/") if root else ".", *parts]) if parts else root


def resolve_uri(uri: str, root: str) -> str:
    """Makes a video's location absolute: URIs and absolute paths stay, others are taken relative to `root`."""
    return uri if is_uri(uri) or os.path.isabs(uri) else join(root, uri)


def filesystem(location: str) -> tuple[pafs.FileSystem, str]:
    """The file system that a location lies on, and its path there.

    Raises:
        UserError: The scheme is not known to PyArrow, or the store cannot be reached.
    """
    if not is_uri(location):
        return pafs.LocalFileSystem(), os.path.abspath(location)
    scheme, _, key = location.partition("://")
    # A space is no URI, and all behind a # or ? would be cut off; file:// URIs are percent-encoded by custom.
    escaped = quote(key, safe="/:@%" if scheme == "file" else "/:@")
    try:
        with _reaching(location):
            return pafs.FileSystem.from_uri(f"{scheme}://{escaped}")
    except (pa.ArrowInvalid, ValueError) as error:
        raise UserError(f"{location}: {error}") from error


@contextmanager
def _reaching(location: str) -> Iterator[None]:
    """Tells of storage that fails in one line; the cause stays, by which another try is known to be worth it."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{location}: cannot be reached: {' '.join(str(error).split())}") from error


def _info(location: str) -> pafs.FileInfo:
    system, path = filesystem(location)
    with _reaching(location):
        return system.get_file_info(path)


def _files_in(location: str, *, recursive: bool = False) -> list[pafs.FileInfo]:
    """The files of a directory; none when it does not exist."""
    system, path = filesystem(location)
    with _reaching(location):
        found = system.get_file_info(pafs.FileSelector(path, allow_not_found=True, recursive=recursive))
    return [info for info in found if info.type == pafs.FileType.File]


def _local_files_below(top: str) -> Iterator[str]:
    """The paths of the files at any depth inside a local directory, of every directory once.

    A link to one that is there by itself, or that the link lies in, is not followed: it would lead around forever.
    """
    folders, links, seen = [top], deque[str](), set[str]()
    while folders or links:
        folder = folders.pop() if folders else links.popleft()
        real = os.path.realpath(folder)
        if real in seen:
            continue
        seen.add(real)
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir():
                (links if entry.is_symlink() else folders).append(entry.path)
            elif entry.is_file():
                yield entry.path


def exists(location: str) -> bool:
    """Whether a file or directory is there.

    Raises:
        UserError: Here as in all that follow: the place cannot be reached.
    """
    return _info(location).type != pafs.FileType.NotFound


def list_files(location: str, suffix: str = "") -> list[str]:
    """The files directly inside a directory, by name; none when the directory does not exist."""
    names = sorted(info.base_name for info in _files_in(location))
    return [join(location, name) for name in names if name.endswith(suffix)]


def list_tree(location: str) -> list[str]:
    """The files at any depth inside a directory, as paths relative to it, sorted; none when there is no directory.

    Links to directories are followed, but to none that is listed already.

    Raises:
        UserError: The name of one is not UTF-8.
    """
    system, path = filesystem(location)
    start = len(path.rstrip("/")) + 1
    if not isinstance(system, pafs.LocalFileSystem):
        return sorted(info.path[start:] for info in _files_in(location, recursive=True))
    if not exists(location):
        return []
    with _reaching(location):
        names = sorted(file[start:] for file in _local_files_below(path))
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise UserError(f"{location}: the name of {os.fsencode(name)!r} is not UTF-8; rename that file") from error
    return names


def files_below(location: str, suffix: str = "") -> list[str]:
    """The files at any depth inside a directory, by path; none when the directory does not exist."""
    return [join(location, path) for path in list_tree(location) if path.endswith(suffix)]


def is_directory(location: str) -> bool:
    """Whether a directory is there."""
    return _info(location).type == pafs.FileType.Directory


def remove_directory(location: str) -> None:
    """Removes a directory and all below it; one that is not there is none to remove."""
    if exists(location):
        system, path = filesystem(location)
        with _reaching(location):
            system.delete_dir(path)


def size_of(location: str) -> int:
    """Bytes of a file.

    Raises:
        UserError: There is no such file.
    """
    info = _info(location)
    if info.type != pafs.FileType.File:
        raise UserError(f"{location}: no such file")
    return int(info.size)


def state_of(location: str) -> tuple[int, int]:
    """Bytes of a file and when it was last changed, in nanoseconds; (-1, -1) where there is none.

    Of a folder the bytes of its own files, and a number that changes with the name, size or time of any of them.
    """
    info = _info(location)
    if info.type == pafs.FileType.Directory:
        files = sorted((file.base_name, file.size, file.mtime_ns) for file in _files_in(location))
        digest = hashlib.blake2b(json.dumps(files).encode(), digest_size=8).digest()
        return sum(size for _, size, _ in files), int.from_bytes(digest, "big")
    return (int(info.size), int(info.mtime_ns or 0)) if info.type == pafs.FileType.File else (-1, -1)


def read_bytes(location: str) -> bytes:
    """The whole content of a file.

    Raises:
        UserError: There is no such file, or it cannot be read.
    """
    system, path = filesystem(location)
    try:
        with system.open_input_stream(path) as stream:
            return stream.read()
    except FileNotFoundError as error:
        raise UserError(f"{location}: no such file") from error
    except OSError as error:
        raise UserError(f"{location}: cannot be read: {error}") from error


def write_bytes(location: str, content: bytes) -> None:
    """Writes a file so that a reader sees the old content or the new, never a part; parents are created.

    Raises:
        UserError: The place cannot be written to: no permission, no space, a file where a folder should be.
    """
    system, path = filesystem(location)
    try:
        if isinstance(system, pafs.LocalFileSystem):
            _replace_file(Path(path), content)
        else:
            with system.open_output_stream(path) as stream:
                stream.write(content)
    except OSError as error:
        raise UserError(f"{location}: cannot be written: {error}") from error


def refuse_unwritable(directory: str) -> None:
    """Stops where nothing can be written, which is tried; a directory that is not there is made.

    Raises:
        UserError: It cannot be written to.
    """
    probe = join(directory, ".probe")
    write_bytes(probe, b"")
    remove(probe)


def remove(location: str) -> None:
    """Deletes a file; nothing happens where there is none."""
    if exists(location):
        system, path = filesystem(location)
        with _reaching(location):
            system.delete_file(path)


def publish(partial: str, location: str) -> None:
    """Gives a local file that was written beside its place its name; a reader sees the old file or the new.

    Args:
        partial: The file as written, whole and closed.
        location: Where it belongs, on the same file system.

    Raises:
        UserError: The place cannot be written to.
    """
    try:
        with open(partial, "rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, filesystem(location)[1])
    except OSError as error:
        raise UserError(f"{location}: cannot be written: {error}") from error


def _replace_file(target: Path, content: bytes) -> None:
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
