"""Jobs in processes of their own, ended by SIGKILL when they have come to a certain point."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
from tiny_runs import CONFIG_FILE, overrides

JOB = Path(__file__).parents[2] / "jobs" / "al_loop.py"
PATIENCE_SECONDS = 240.0
Job = subprocess.Popen[str]


def start_job(
    root: Path, pool: Path, environment: Mapping[str, str] | None = None, **settings: Any
) -> subprocess.Popen:
    """Starts ``python jobs/al_loop.py`` on the run in ``root/run``; its output can be read from `stdout`."""
    return subprocess.Popen(
        [sys.executable, str(JOB), "--config", str(CONFIG_FILE), *overrides(root, pool, **settings)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def kill_when(job: Job, line: str, then: Callable[[], bool] = lambda: True) -> list[str]:
    """Kills a job once it has said a line and something has come true, and returns what it had said by then."""
    assert job.stdout is not None
    said: list[str] = []
    for text in job.stdout:
        said.append(text.rstrip())
        if text.startswith(line):
            break
    wait_until(lambda: then() or job.poll() is not None)
    job.kill()
    said += job.stdout.read().splitlines()
    assert job.wait() == -signal.SIGKILL, "\n".join(["the job ended before it could be killed:", *said])
    return said


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.005)


def ray_workers(name: str, ancestor: int) -> list[psutil.Process]:
    """The Ray workers below a process that are at an actor or task of some name, such as ``ChunkActor.work``."""
    found = []
    for process in psutil.Process(ancestor).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if " ".join(process.cmdline()).startswith(f"ray::{name}"):
                found.append(process)
    return found


class Assassin(threading.Thread):
    """Kills one process as soon as something has come true, while the test goes on."""

    def __init__(self, condition: Callable[[], bool], victims: Callable[[], list[psutil.Process]]) -> None:
        super().__init__(daemon=True)
        self.killed: list[int] = []
        self._condition = condition
        self._victims = victims

    def run(self) -> None:
        wait_until(self._condition)
        victim = self._victims()[0]
        victim.kill()
        self.killed.append(victim.pid)
