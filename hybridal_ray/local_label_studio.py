"""A Label Studio server on this machine, for development and tests: started on loopback, ended by its process id.

The server is no dependency of the package: it is installed in an environment of its own, and found by the path of its
executable. Its user, password and token are made up when its data directory is new, and kept there, readable by their
owner alone; they go to the server by its environment, so that no list of processes shows them.
"""

import contextlib
import http.client
import json
import os
import secrets
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from hybridal_ray.errors import UserError

EXECUTABLE_VARIABLE = "HYBRIDAL_LABEL_STUDIO"
PORT = 8080
START_SECONDS = 300.0  # the first start makes the database
STOP_SECONDS = 20.0
USER = "annotator@example.org"
_ACCESS, _RECORD, _LOG = "access.json", "server.json", "server.log"


@dataclass(frozen=True)
class LocalServer:
    """A server that runs.

    Attributes:
        url: Its address.
        user: Who can sign in.
        password: Of that user.
        token: Of that user, for LABEL_STUDIO_API_KEY.
    """

    url: str
    user: str
    password: str
    token: str


def start_server(home: Path, executable: str, *, document_root: Path, port: int = PORT) -> LocalServer:
    """Starts the server of a directory, unless it runs, and waits until it answers.

    Args:
        home: What the server keeps: database, access, log, and the record for `stop_server`.
        executable: ``label-studio`` of the environment that it is installed in.
        document_root: Files below it can be shown in tasks; runs belong there.
        port: On 127.0.0.1.

    Raises:
        UserError: It cannot be started, ended by itself, or did not answer within `START_SECONDS`.
    """
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    record = home / _RECORD
    if _running(record) is not None:
        return _access(home, json.loads(record.read_text())["port"])
    if _answers(port):
        raise UserError(f"127.0.0.1:{port}: another server listens there; stop it, or give another port")
    server = _access(home, port)
    log = home / _LOG
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [executable, "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port),
                 "--data-dir", str(home / "data"), "--enable-legacy-api-token"],
                env=_environment(server, document_root),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C in the terminal is for what is run beside it
            )  # fmt: skip
    except OSError as error:
        raise UserError(f"{executable}: Label Studio cannot be started: {error.strerror}") from error
    _write_privately(record, {"pid": process.pid, "created": psutil.Process(process.pid).create_time(), "port": port})
    deadline = time.monotonic() + START_SECONDS
    while not _answers(port):
        if process.poll() is not None:
            raise UserError(f"Label Studio ended while it started; see {log}")
        if time.monotonic() > deadline:
            stop_server(home)
            raise UserError(f"Label Studio did not answer on 127.0.0.1:{port} within {START_SECONDS:g} s; see {log}")
        time.sleep(0.5)
    return server


def stop_server(home: Path) -> bool:
    """Ends the server of a directory and what it started; says whether one ran."""
    record = home.absolute() / _RECORD
    process = _running(record)
    if process is not None:
        processes = [process, *process.children(recursive=True)]
        for each in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.terminate()
        for each in psutil.wait_procs(processes, timeout=STOP_SECONDS)[1]:
            each.kill()
    record.unlink(missing_ok=True)
    return process is not None


def _access(home: Path, port: int) -> LocalServer:
    """Who may enter the server of a directory; made up where it is new."""
    file = home / _ACCESS
    if not file.exists():
        access = {"user": USER, "password": secrets.token_urlsafe(12), "token": secrets.token_hex(20)}
        _write_privately(file, access)
    return LocalServer(url=f"http://127.0.0.1:{port}", **json.loads(file.read_text()))


def _environment(server: LocalServer, document_root: Path) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("LABEL_STUDIO_")}
    return others | {
        "LABEL_STUDIO_USERNAME": server.user,
        "LABEL_STUDIO_PASSWORD": server.password,
        "LABEL_STUDIO_USER_TOKEN": server.token,
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(document_root.absolute()),
        "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
        "LATEST_VERSION_CHECK": "false",
        "COLLECT_ANALYTICS": "false",
    }


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _running(record: Path) -> psutil.Process | None:
    """The process of a record, if it still is that one: process ids are used again."""
    if not record.exists():
        return None
    told = json.loads(record.read_text())
    try:
        process = psutil.Process(told["pid"])
        return process if process.create_time() == told["created"] else None
    except psutil.NoSuchProcess:
        return None


def _write_privately(file: Path, content: Mapping[str, object]) -> None:
    with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as output:
        json.dump(content, output)
