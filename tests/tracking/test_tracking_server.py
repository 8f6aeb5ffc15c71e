"""Oracle: real sockets on the loopback interface, and the clock."""

import os
import socket
import time
from pathlib import Path

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.tracking.tracking_server import (
    ServerUnreachableError,
    bounded_patience,
    make_ready,
    without_credentials,
)


@pytest.fixture
def listener() -> socket.socket:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def test_a_listening_port_passes(listener: socket.socket) -> None:
    make_ready(f"http://127.0.0.1:{listener.getsockname()[1]}")


def test_a_refused_port_is_reported_at_once(listener: socket.socket) -> None:
    port = listener.getsockname()[1]
    listener.close()
    began = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=f"nothing answers on 127.0.0.1:{port}"):
        make_ready(f"http://127.0.0.1:{port}")
    assert time.monotonic() - began < 4


def test_a_proxy_is_not_bypassed_by_the_probe(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    port = listener.getsockname()[1]
    listener.close()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    make_ready(f"http://127.0.0.1:{port}")


def test_a_uri_without_a_host_is_the_users_to_mend() -> None:
    with pytest.raises(UserError, match="names no host"):
        make_ready("http://:5000")


def test_the_folder_of_a_sqlite_store_is_made(tmp_path: Path) -> None:
    make_ready(f"sqlite:///{tmp_path}/deep/er/mlflow.db")
    assert (tmp_path / "deep/er").is_dir()


def test_patience_ends_with_the_block_and_respects_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "5")
    before = dict(os.environ)
    with bounded_patience():
        assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "5"
        assert os.environ["MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR"] == "1"
        assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert dict(os.environ) == before


def test_credentials_are_not_printed() -> None:
    assert without_credentials("https://me:secret@host:5000/x") == "https://host:5000/x"
    assert without_credentials("sqlite:////data/a@b.db") == "sqlite:////data/a@b.db"
