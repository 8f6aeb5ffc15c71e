"""What SIGKILL costs: training workers, scoring actors and the job itself, killed on a real Ray head.

``python benchmarks/faults.py --out OUT [--config FILE] [--times N] [--faults NAME …] [--set key=value …]``

Starts a Ray head of its own, submits one undisturbed job with ``ray job submit``, then one for each fault and
repetition. Workers and actors are killed under a job that has to go on by itself; a job that was killed is submitted
again. A try has passed when it ends with the same bytes of selections and labels as the undisturbed run. Leaves
``faults.json`` and ``faults.md`` in OUT; the exit code is 1 when a try has not passed.
"""

import argparse
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from hybridal_ray import local_head

REPOSITORY = Path(__file__).resolve().parent.parent
RAY = os.path.join(sysconfig.get_path("scripts"), "ray")
PATIENCE_SECONDS = 1200.0

# A run of one round on two training workers and two scoring actors. The threshold is low because a detector that
# was trained for a minute is sure of nothing: without any foreground all scores were zero, and all selections equal.
SETTINGS = (
    "pool.path=pool", "pool.demo.videos=40", "rounds=1", "budget.start_videos=10", "budget.videos_per_round=6",
    "detector.input_size=32", "training.epochs=3", "training.steps_per_epoch=20", "training.workers=2",
    "scoring.actors=2", "scoring.passes=5", "scoring.videos_per_chunk=3", "scoring.foreground_threshold=0.1",
    "tracking.uri=none", "tracking.figures=false",
)  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """Who is killed, and when.

    Attributes:
        victim: ``job``, or the beginning of the name under which Ray runs a process.
        file: Pattern below the run directory; the kill comes as soon as such a file is there. None: see `line`.
        line: Line that the job says; the kill comes as soon as it is said.
        settings: Further overrides.
    """

    victim: str
    file: str | None = None
    line: str | None = None
    settings: tuple[str, ...] = ()


FAULTS: Mapping[str, Fault] = {
    "training worker, mid-epoch": Fault("ray::RayTrainWorker", file="rounds/000/train/ray/epoch-0001"),
    "scoring actor, mid-pool": Fault("ray::ChunkActor", file="rounds/000/scores/part-*.parquet"),
    "job, first labels": Fault("job", line="start: label …"),
    "job, train": Fault("job", file="rounds/000/train/ray/epoch-0001"),
    "job, evaluate": Fault("job", file="rounds/000/evaluate/predictions/part-*.parquet"),
    "job, score": Fault("job", file="rounds/000/scores/part-*.parquet"),
    "job, select": Fault("job", line="round 0: select …"),
    "job, tracking": Fault("job", file="rounds/000/report/*.png", settings=("tracking.figures=true",)),
}


@dataclass(frozen=True)
class Try:
    """How one try of a fault ended.

    Attributes:
        fault: Name of the fault.
        same: Whether selections and labels are those of the undisturbed run, byte by byte.
        seconds: From the first submission to the end of the last.
        submissions: Jobs that it took.
    """

    fault: str
    same: bool
    seconds: float
    submissions: int


def main() -> int:
    """Runs the undisturbed job and every try, and writes the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/demo.yaml", help="YAML file, below the repository")
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--times", type=int, default=1, help="Tries of each fault.")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS), metavar="NAME")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="Overrides for every run.")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    with _head(out) as head:
        bench = Bench(out, head, ["--config", arguments.config, f"root={out}", *SETTINGS, *arguments.set])
        reference = bench.undisturbed()
        print(f"undisturbed: {reference.seconds:.0f} s", flush=True)
        tries: list[Try] = []
        for name in (name for name in arguments.faults for _ in range(arguments.times)):
            tries.append(bench.try_fault(name))
            print(f"{name}: {tries[-1]}", flush=True)
            _write(out, reference, tries)
    print((out / "faults.md").read_text())
    return 0 if all(each.same for each in tries) else 1


@dataclass(frozen=True)
class Head:
    """A Ray head of our own.

    Attributes:
        address: Where it takes jobs.
        process: Above all of its processes.
    """

    address: str
    process: psutil.Process


@dataclass
class Bench:
    """Jobs on one head, compared with the undisturbed one.

    Attributes:
        out: Folder of runs and logs.
        head: Where jobs go.
        arguments: Of every job.
    """

    out: Path
    head: Head
    arguments: Sequence[str]

    def undisturbed(self) -> Try:
        """Runs the job that the others are compared with; the pool is generated before, and not timed.

        Raises:
            SystemExit: It failed, or its scores are all alike, so that equal selections would prove nothing.
        """
        from hybridal_ray.config import load_config
        from hybridal_ray.loop import open_pool

        config = load_config(REPOSITORY / self.arguments[1], [*self.arguments[2:], "run=runs/undisturbed"])
        open_pool(config, print)
        started = time.monotonic()
        code = self._submit("undisturbed", ()).wait()
        if code != 0:
            raise SystemExit(f"the undisturbed job failed, see {self._log('undisturbed')}")
        seconds = time.monotonic() - started
        picks = pq.read_table(self._run("undisturbed") / "rounds/000/selection.parquet")
        if len(set(picks["uncertainty"].to_pylist())) < len(picks):
            raise SystemExit("the undisturbed run scored frames alike: equal selections would prove nothing")
        return Try("none", True, seconds, 1)

    def try_fault(self, name: str) -> Try:
        """Submits a job, kills what the fault names, and submits again until the job has ended well."""
        fault, run = FAULTS[name], f"{name.replace(', ', '-').replace(' ', '-')}-{uuid.uuid4().hex[:4]}"
        started = time.monotonic()
        job = self._submit(run, fault.settings)
        self._await_moment(fault, run, job)
        self._victim(fault, run).kill()
        submissions = 1
        while job.wait() != 0:
            if fault.victim != "job" or submissions == 3:
                return Try(name, False, time.monotonic() - started, submissions)
            job = self._submit(run, fault.settings)
            submissions += 1
        seconds = time.monotonic() - started
        killed_it = submissions == (2 if fault.victim == "job" else 1)
        return Try(name, killed_it and self._decided(run) == self._decided("undisturbed"), seconds, submissions)

    def _submit(self, run: str, settings: Sequence[str]) -> "subprocess.Popen[bytes]":
        command = [RAY, "job", "submit", "--address", self.head.address, "--working-dir", ".", "--log-color=false"]
        command += [
            "--submission-id",
            f"{run}-{uuid.uuid4().hex[:4]}",
            "--",
            "python",
            "jobs/al_loop.py",
            *self.arguments,
            *settings,
            f"run=runs/{run}",
        ]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "RAY_AUTH_MODE": "disabled"}
        with self._log(run).open("ab") as log:
            return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log)

    def _await_moment(self, fault: Fault, run: str, job: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self._has_come(fault, run):
            if job.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"the moment to kill did not come, see {self._log(run)}")
            time.sleep(0.01)

    def _has_come(self, fault: Fault, run: str) -> bool:
        if fault.file is not None:
            return any(self._run(run).glob(fault.file))
        return fault.line is not None and fault.line in self._log(run).read_text(errors="replace")

    def _victim(self, fault: Fault, run: str) -> psutil.Process:
        """A process below the head, and nowhere else: other Ray clusters of the machine are not ours to kill."""
        for process in self.head.process.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                command = process.cmdline()
                is_job = command[1:2] == ["jobs/al_loop.py"] and command[-1] == f"run=runs/{run}"
                if is_job if fault.victim == "job" else " ".join(command).startswith(fault.victim):
                    return process
        raise SystemExit(f"no process {fault.victim!r} below the head, see {self._log(run)}")

    def _decided(self, run: str) -> dict[str, bytes]:
        root = self._run(run)
        files = [*root.glob("**/selection.parquet"), *root.glob("**/clusters.parquet"), *root.glob("labels/*.parquet")]
        return {str(file.relative_to(root)): file.read_bytes() for file in files}

    def _run(self, run: str) -> Path:
        return self.out / "runs" / run

    def _log(self, run: str) -> Path:
        return self.out / f"{run}.log"


@contextlib.contextmanager
def _head(out: Path) -> Iterator[Head]:
    """A head on a free port and with temporary files of its own, for the time of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    record, address = out / "ray-head.json", f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as temporary:
        os.environ["RAY_TMPDIR"] = temporary  # else other clusters of the machine would find this one for theirs
        local_head.start_head(record, cpus=4, port=port)
        try:
            _await_agent(address)
            yield Head(address, psutil.Process(json.loads(record.read_text())[0]["pid"]))
        finally:
            local_head.stop_head(record)


def _await_agent(address: str) -> None:
    """Submits an empty job until it is taken: a head answers some time before it can run jobs."""
    command = [RAY, "job", "submit", "--address", address, "--", "true"]
    for _ in range(10):
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode == 0:
            return
        time.sleep(3)
    raise SystemExit(f"the head takes no jobs: {tried.stdout}{tried.stderr}")


def _write(out: Path, reference: Try, tries: Sequence[Try]) -> None:
    content = {"undisturbed_seconds": reference.seconds, "tries": [asdict(each) for each in tries]}
    (out / "faults.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = [
        f"An undisturbed job took {reference.seconds:.0f} s, the time that Ray needs for a job included.\n",
        "| killed | tried | same selections and labels | jobs submitted | seconds lost |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(each.fault for each in tries):
        of_fault = [each for each in tries if each.fault == name]
        lost = statistics.median(each.seconds - reference.seconds for each in of_fault)
        submissions = max(each.submissions for each in of_fault)
        same = "yes" if all(each.same for each in of_fault) else "**no**"
        lines.append(f"| {name} | {len(of_fault)} | {same} | {submissions} | {lost:.0f} |")
    (out / "faults.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
