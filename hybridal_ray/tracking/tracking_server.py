"""Meeting a tracking server without waiting for it: a probe before the first call, and short patience during calls."""

import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from hybridal_ray.errors import UserError

CONNECT_SECONDS = 3.0
ANSWER_SECONDS = 10.0

# MLflow's own defaults retry one call for minutes; a round must not wait that long for its tracking server.
_PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


class ServerUnreachableError(Exception):
    """No one answers where the tracking URI points."""


@contextmanager
def bounded_patience() -> Iterator[None]:
    """Bounds retries and time-outs of MLflow's client inside the block; what the user has set is respected.

    MLflow reads these settings from the environment only, so this is the one place that touches it.
    """
    added = [name for name in _PATIENCE if name not in os.environ]
    os.environ.update({name: _PATIENCE[name] for name in added})
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def make_ready(tracking_uri: str) -> None:
    """Checks that a server listens, or makes the folder of an SQLite file.

    Args:
        tracking_uri: ``http(s)://…`` is probed; ``sqlite:///…`` gets its folder; others are left to MLflow.

    Raises:
        ServerUnreachableError: Nothing accepts a connection within `CONNECT_SECONDS`, or what does gives no HTTP
            answer, whatever it says, within `ANSWER_SECONDS`.
        UserError: The URI has no host.
    """
    parts = urlsplit(tracking_uri)
    if parts.scheme in ("http", "https"):
        if parts.hostname is None:
            raise UserError(f"tracking URI {tracking_uri!r}: it names no host, expected http://HOST:PORT")
        if not _goes_through_proxy(parts.scheme, parts.hostname):
            _probe(parts.scheme, parts.hostname, parts.port)
    elif parts.scheme == "sqlite" and parts.path.strip("/"):
        Path(parts.path.removeprefix("/")).parent.mkdir(parents=True, exist_ok=True)


def without_credentials(tracking_uri: str) -> str:
    """The URI as it may be printed: user name and password left out."""
    parts = urlsplit(tracking_uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else tracking_uri


def _probe(scheme: str, host: str, port: int | None) -> None:
    connection: HTTPConnection
    if scheme == "https":
        # Whom to trust is decided by the calls that carry something; the probe only asks whether anyone is there.
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        connection = HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=trusting)
    else:
        connection = HTTPConnection(host, port, timeout=CONNECT_SECONDS)
    try:
        connection.connect()
        connection.sock.settimeout(ANSWER_SECONDS)
        connection.request("HEAD", "/")
        connection.getresponse()
    except (OSError, HTTPException) as error:
        raise ServerUnreachableError(f"nothing answers on {host}:{connection.port} ({error})") from error
    finally:
        connection.close()


def _goes_through_proxy(scheme: str, host: str) -> bool:
    return scheme in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)
