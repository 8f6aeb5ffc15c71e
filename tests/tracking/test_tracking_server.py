"""Oracle: real sockets on the loopback interface, and the clock."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.tracking import tracking_server
from hybridal_ray.tracking.tracking_server import (
    ServerUnreachableError,
    bounded_patience,
    make_ready,
    without_credentials,
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


def uri_of(server: socket.socket) -> str:
    return f"http://127.0.0.1:{server.getsockname()[1]}"


def answer_once(server: socket.socket, reply: bytes) -> threading.Thread:
    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(reply)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("status", [b"200 OK", b"401 Unauthorized", b"404 Not Found"])
def test_any_answer_passes(listener: socket.socket, status: bytes) -> None:
    thread = answer_once(listener, b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")
    make_ready(uri_of(listener))
    thread.join()


def test_a_refused_port_is_reported_at_once(listener: socket.socket) -> None:
    uri = uri_of(listener)
    listener.close()
    began = time.monotonic()
    with pytest.raises(ServerUnreachableError, match=f"nothing answers on {uri.removeprefix('http://')}"):
        make_ready(uri)
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("reply", [b"", b"SSH-2.0-OpenSSH_9.2\r\n"])
def test_what_hangs_up_or_speaks_no_http_is_no_server(listener: socket.socket, reply: bytes) -> None:
    thread = answer_once(listener, reply)
    with pytest.raises(ServerUnreachableError, match="nothing answers"):
        make_ready(uri_of(listener))
    thread.join()


def test_a_server_that_stays_silent_is_given_up_on(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_server, "ANSWER_SECONDS", 0.2)
    with pytest.raises(ServerUnreachableError, match="timed out"):
        make_ready(uri_of(listener))


def test_a_proxy_is_not_bypassed_by_the_probe(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = uri_of(listener)
    listener.close()
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "")
    make_ready(uri)


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
