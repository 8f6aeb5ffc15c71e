"""Where a browser finds the pictures of a request that is shown in Label Studio."""

import os
from collections.abc import Callable
from typing import Literal
from urllib.parse import quote, urlsplit

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import Request

Media = Literal["local", "uri"]
MEDIA = ("local", "uri")


class LocalMedia:
    """The server reads the run directory itself, below its document root (local files serving).

    Args:
        document_root: LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT of the server, as this machine sees it.
        server_root: The same as the server sees it, where that differs, as in a container.
    """

    def __init__(self, document_root: str, server_root: str | None = None) -> None:
        self._root = os.path.abspath(os.path.expanduser(document_root))
        self._server_root = server_root or self._root

    def server_folder(self, request: Request) -> str:
        """The directory of a request as the server sees it."""
        return os.path.join(self._server_root, self._below(request))

    def address(self, request: Request) -> Callable[[str], str]:
        """From a file of a request to the server's address of it."""
        below = self._below(request)
        return lambda file: f"/data/local-files/?d={quote(f'{below}/{file}')}"

    def _below(self, request: Request) -> str:
        below = "" if storage.is_uri(request.directory) else os.path.relpath(request.directory, self._root)
        if not below or below == os.curdir or below.startswith(os.pardir):
            raise UserError(
                f"oracle.options.document_root: {self._root} does not hold the run, which is in {request.directory}; "
                "expected the server's LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT with the run below it, or media: uri"
            )
        return below.replace(os.sep, "/")


class UriMedia:
    """The pictures have addresses: those of an object store, which the server signs, or those that a web server has.

    Args:
        prefix: Stands in the place of `root`; None leaves the addresses of the object store as they are.
        root: What the prefix stands for; None is the directory of the run.
    """

    def __init__(self, prefix: str | None = None, root: str | None = None) -> None:
        if prefix is not None and (urlsplit(prefix).scheme not in ("http", "https", "s3", "gs", "azure-blob")):
            raise UserError(f"oracle.options.prefix: found {prefix!r}, expected an address that begins with https://")
        self._prefix, self._root = prefix, root

    def address(self, request: Request) -> Callable[[str], str]:
        """From a file of a request to its address."""
        if self._prefix is None:
            if not storage.is_uri(request.directory):
                raise UserError(
                    f"oracle.options.media: uri: the run is in {request.directory}, which has no address; expected a "
                    "run in an object store, oracle.options.prefix beside it, or media: local"
                )
            return lambda file: storage.join(request.directory, file)
        root = (self._root or request.run).rstrip("/")
        if not request.directory.startswith(root + "/"):
            raise UserError(f"oracle.options.root: {root} does not hold the request, which is in {request.directory}")
        below = request.directory[len(root) + 1 :]
        return lambda file: f"{str(self._prefix).rstrip('/')}/{quote(f'{below}/{file}')}"
