"""Heads are checked against made-up servers and real processes, among them one that must not be ended."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest

from hybridal_ray import local_head
from hybridal_ray.errors import UserError


@contextmanager
def server(answer: bytes) -> Iterator[int]:
    """A web server that gives the same answer to everything, on a port of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield web.server_port
        web.shutdown()


@pytest.fixture
def sleeper() -> Iterator[psutil.Process]:
    """A process with a child."""
    script = "import os, time; child = os.fork(); child and print(child, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        known = psutil.Process(process.pid)
        family = [known, *known.children(recursive=True)]
        yield known
        for member in family:
            if member.is_running():
                member.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def record_of(process: psutil.Process, file: Path, *, started: float) -> Path:
    file.write_text(json.dumps([{"pid": process.pid, "created": started}]))
    return file


def test_a_head_is_known_by_its_answer() -> None:
    with server(b'{"version": "4", "ray_version": "2.60.0"}') as port:
        assert local_head.head_runs(port)


def test_no_head_where_nothing_listens() -> None:
    assert not local_head.head_runs(free_port())


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"{}", b"[]", b"7"])
def test_something_else_on_the_port_is_named(answer: bytes) -> None:
    with server(answer) as port, pytest.raises(UserError, match=f"127.0.0.1:{port}: something that is not a Ray head"):
        local_head.head_runs(port)


def test_stopping_ends_the_recorded_process_and_its_children(sleeper: psutil.Process, tmp_path: Path) -> None:
    child = sleeper.children()[0]
    record = record_of(sleeper, tmp_path / "head.json", started=sleeper.create_time())

    assert local_head.stop_head(record) == 2

    assert not sleeper.is_running() or sleeper.status() == psutil.STATUS_ZOMBIE
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert not record.exists()


def test_a_process_that_only_inherited_the_number_is_left_alone(sleeper: psutil.Process, tmp_path: Path) -> None:
    record = record_of(sleeper, tmp_path / "head.json", started=sleeper.create_time() - 100)

    assert local_head.stop_head(record) == 0

    assert sleeper.is_running()
    assert not record.exists()


def test_nothing_to_stop(tmp_path: Path) -> None:
    assert local_head.stop_head(tmp_path / "head.json") == 0


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_starts_on_loopback_and_leaves_nothing_behind(tmp_path: Path) -> None:
    record, port = tmp_path / "kept" / "ray-head.json", free_port()

    local_head.start_head(record, cpus=1, port=port)
    recorded = [psutil.Process(entry["pid"]) for entry in json.loads(record.read_text())]
    listening = [
        connection.laddr.ip
        for process in recorded
        for connection in process.net_connections(kind="tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    answered = local_head.head_runs(port)
    ended = local_head.stop_head(record)

    assert answered
    assert all(address in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for address in listening)
    assert len(listening) > 1
    assert ended >= len(recorded) > 1
    assert not any(process.is_running() for process in recorded)
    assert not local_head.head_runs(port)


@pytest.mark.ray
@pytest.mark.slow
def test_a_head_that_cannot_start_is_told_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = tmp_path / "ray-head.json"
    monkeypatch.setattr(local_head, "_OBJECT_STORE_BYTES", 1)

    with pytest.raises(UserError, match=r"Ray ended while it started; see .*ray-head\.log"):
        local_head.start_head(record, cpus=1, port=free_port())

    assert not record.exists()
