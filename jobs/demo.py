"""The demo: a Ray head on this machine, the loop as a Ray job on it, its progress followed to the table of rounds.

``python jobs/demo.py --config configs/demo.yaml --root DIR [key=value …]``, or ``--stop`` for the head of a demo that
was killed.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import sysconfig
import uuid
from pathlib import Path

from hybridal_ray import local_head
from hybridal_ray.config import load_config
from hybridal_ray.errors import UserError
from hybridal_ray.tracking.provenance import REVISION_VARIABLE, current_git_revision

REPOSITORY = Path(__file__).resolve().parent.parent
RAY = os.path.join(sysconfig.get_path("scripts"), "ray")
ADDRESS = f"http://127.0.0.1:{local_head.PORT}"


def main() -> int:
    """Runs the demo.

    Returns:
        0; 1 when the job failed; 2, after one line that says why, for what the user can mend.
    """
    parser = argparse.ArgumentParser(description="Runs the active-learning loop as a job on a local Ray head.")
    parser.add_argument("--config", default="configs/demo.yaml", help="YAML file, below the repository")
    parser.add_argument("--root", type=Path, required=True, help="where the demo keeps its pool and runs")
    parser.add_argument("--stop", action="store_true", help="only end the head that a demo left behind")
    parser.add_argument("overrides", nargs="*", help="dotted.key=value")
    arguments = parser.parse_args()
    root = arguments.root.absolute()
    record = root / "ray-head.json"
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda number, _: sys.exit(128 + number))  # through every `finally`, without a traceback
    try:
        if arguments.stop:
            _stop(record)
            return 0
        overrides = [f"root={root}", *arguments.overrides]
        config = load_config(REPOSITORY / arguments.config, overrides)
        actors = 1 if config.scoring.actors == "auto" else config.scoring.actors
        cpus = max(config.training.workers, actors, os.cpu_count() or 1)
        return _run_on_head(record, cpus, ["--config", arguments.config, *overrides])
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _run_on_head(record: Path, cpus: int, arguments: list[str]) -> int:
    """Submits to the head that runs, or to one that lives as long as the demo; an interrupted demo leaves no job."""
    job = f"demo-{uuid.uuid4().hex[:8]}"
    if local_head.head_runs():
        print(f"demo: using the Ray head that runs at {ADDRESS}", flush=True)
        try:
            return _submit(job, arguments)
        except SystemExit:
            subprocess.run([RAY, "job", "stop", "--address", ADDRESS, job], check=False)
            raise
    print(f"demo: starting a Ray head at {ADDRESS}, for the time of the demo", flush=True)
    try:
        local_head.start_head(record, cpus=cpus)
        return _submit(job, arguments)
    finally:
        _stop(record)


def _submit(job: str, arguments: list[str]) -> int:
    """Runs ``ray job submit`` and shows what it says."""
    # The job's copy of the repository has no history: the submitter tells it which commit it runs.
    variables = json.dumps({"env_vars": {REVISION_VARIABLE: current_git_revision()}})
    submit = ["job", "submit", "--address", ADDRESS, "--submission-id", job, "--working-dir", "."]
    submit += ["--runtime-env-json", variables]
    entrypoint = ["--", "python", "jobs/al_loop.py", *arguments]
    print(f"demo: ray {shlex.join([*submit, *entrypoint])}", flush=True)
    environment = {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "RAY_AUTH_MODE": "disabled",
        # .gitignore and .rayignore leave out what Ray leaves out, without its warnings.
        "RAY_OVERRIDE_RUNTIME_ENV_DEFAULT_EXCLUDES": "__pycache__",
    }
    quiet = ["--log-style=pretty", "--log-color=false"]
    process = subprocess.Popen(
        [RAY, "--logging-level=warning", *submit, *quiet, *entrypoint],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    reason = _follow(process)
    code = process.wait()
    if code != 0:
        print(f"demo: the job failed: {reason or 'see what it said above'}", file=sys.stderr, flush=True)
    return code


def _follow(process: "subprocess.Popen[str]") -> str | None:
    """Shows what the job says as it comes, but not the copy of it all that Ray appends to a failed job.

    Returns:
        What the job gave as the reason of its end, if it did.
    """
    reason, repeats = None, False
    for line in process.stdout or ():
        repeats = repeats or "last available logs" in line
        if not repeats:
            print(line, end="", flush=True)
        if line.startswith("al_loop: "):
            reason = line.removeprefix("al_loop: ").strip()
    return reason


def _stop(record: Path) -> None:
    if local_head.stop_head(record):
        print("demo: the Ray head that the demo had started is stopped", flush=True)


if __name__ == "__main__":
    sys.exit(main())
