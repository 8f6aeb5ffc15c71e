"""A Ray head on this machine, for trying things out: started on loopback, and ended without touching any other.

``ray stop`` ends every cluster of the machine. This module notes which processes it started, and ends those only.
"""

import contextlib
import http.client
import json
import os
import subprocess
import sysconfig
import time
from pathlib import Path

import psutil

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

PORT = 8265  # of Ray's dashboard, which takes jobs
START_SECONDS = 120.0
STOP_SECONDS = 10.0  # Ray would wait 30 s for its jobs
_PROBE_SECONDS = 5.0
_OBJECT_STORE_BYTES = 500_000_000  # clips and weights go by files; the default would be 30 % of the memory
_STARTED = b"Ray runtime started"  # what `ray start` says when all of it has

# Without the first, Ray replaces 127.0.0.1 by the address of the network card and listens on every interface.
_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "disabled",  # left unset, Ray may write a token into the home folder and insist on it later
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # nobody takes this machine away
    "RAY_COLOR_PREFIX": "0",  # logs go to files and pipes too
}


def head_runs(port: int = PORT) -> bool:
    """Whether a Ray head of this machine takes jobs at a port.

    Raises:
        UserError: Something that is not Ray listens there.
    """
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", "/api/version")
        answer = json.loads(connection.getresponse().read())
        found = isinstance(answer, dict) and "ray_version" in answer
    except ConnectionRefusedError:
        return False
    except (OSError, ValueError, http.client.HTTPException):
        found = False
    finally:
        connection.close()
    if not found:
        raise UserError(f"127.0.0.1:{port}: something that is not a Ray head listens there; stop it, or move it away")
    return True


def start_head(record: Path, *, cpus: int, port: int = PORT) -> None:
    """Starts a head on 127.0.0.1, with this environment's ``python`` first on the PATH of its jobs.

    Args:
        record: File to be written: the processes that were started, for `stop_head`. What the head says goes to
            a ``.log`` file of the same name.
        cpus: CPUs that it offers; they are slots, a machine may have fewer.
        port: Where it takes jobs.

    Raises:
        UserError: It ended by itself, or did not answer within `START_SECONDS`; the message names the log.
    """
    scripts = sysconfig.get_path("scripts")
    command = [
        os.path.join(scripts, "ray"), "start", "--head", "--block", "--disable-usage-stats",
        "--node-ip-address=127.0.0.1", "--port=0", "--dashboard-host=127.0.0.1", f"--dashboard-port={port}",
        "--dashboard-agent-listen-port=0",  # its default is taken where another head runs, and then no job is
        f"--num-cpus={cpus}", f"--object-store-memory={_OBJECT_STORE_BYTES}",
    ]  # fmt: skip
    addresses = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")  # of another cluster: jobs of this one would join it
    inherited = {name: value for name, value in os.environ.items() if name not in addresses}
    environment = inherited | _ENVIRONMENT | {"PATH": os.pathsep.join([scripts, os.environ.get("PATH", os.defpath)])}
    log = record.with_suffix(".log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        # A session of its own, so that Ctrl-C reaches the job's terminal and not the cluster below it.
        leader = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    try:
        _write_record(record, leader.pid)
        _await_answer(leader, port, log)
        _write_record(record, leader.pid)
    except BaseException:
        stop_head(record)
        raise


def stop_head(record: Path) -> int:
    """Ends the head that `start_head` recorded, its jobs and workers, and removes the record.

    Returns:
        How many processes were ended; 0 where none was recorded or all had ended before.
    """
    if not record.exists():
        return 0
    recorded = [process for entry in storage.read_json(str(record)) if (process := _find(**entry)) is not None]
    processes = set(recorded).union(*(_descendants(process) for process in recorded))
    if recorded:
        with contextlib.suppress(psutil.NoSuchProcess):
            recorded[0].terminate()  # `ray start --block` ends its children in order
        psutil.wait_procs(recorded[:1], timeout=STOP_SECONDS)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=STOP_SECONDS)
    record.unlink()
    return len(processes)


def _await_answer(leader: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Waits until the head is up as a whole; its dashboard answers before its raylet has started."""
    deadline = time.monotonic() + START_SECONDS
    while not (_STARTED in log.read_bytes() and head_runs(port)):
        if leader.poll() is not None:
            raise UserError(f"Ray ended while it started; see {log}")
        if time.monotonic() > deadline:
            raise UserError(f"Ray did not answer on 127.0.0.1:{port} within {START_SECONDS:g} s; see {log}")
        time.sleep(0.2)


def _write_record(record: Path, leader: int) -> None:
    """Notes a process and all below it, each with its start, because process ids are used again."""
    try:
        process = psutil.Process(leader)
        entries = [{"pid": each.pid, "created": each.create_time()} for each in [process, *_descendants(process)]]
    except psutil.NoSuchProcess:
        entries = []
    storage.write_json(str(record), entries)


def _find(pid: int, created: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if process.create_time() == created else None
    except psutil.NoSuchProcess:
        return None


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []
