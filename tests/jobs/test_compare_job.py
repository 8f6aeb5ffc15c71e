"""The job as a process of its own: its exit code and what it says of what the user can mend."""

import os
import subprocess
import sys
from pathlib import Path

import yaml
from small_pool import small_settings

REPOSITORY = Path(__file__).parents[2]


def compare(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(REPOSITORY / "jobs" / "compare.py"), *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "PYTHON"))}
    return subprocess.run(command, env=clean, cwd="/", capture_output=True, text=True, check=False)


def write_file(folder: Path) -> Path:
    (folder / "small.yaml").write_text(yaml.safe_dump(small_settings(folder)))
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump({"root": str(folder), "config": "small.yaml", "arms": {"random": {}}}))
    return file


def test_a_place_that_is_relative(tmp_path: Path) -> None:
    job = compare("--config", write_file(tmp_path), "root=results")

    assert job.returncode == 2
    assert job.stderr.startswith("compare: root=results: would lie in the job's temporary copy")


def test_a_field_that_no_arm_has(tmp_path: Path) -> None:
    job = compare("--config", write_file(tmp_path), "sede=3")

    assert job.returncode == 2
    assert "arm 'random':" in job.stderr
    assert "sede: no such field; did you mean 'seed'?" in job.stderr
    assert job.stderr.count("\n") == 1


def test_no_pool(tmp_path: Path) -> None:
    job = compare("--config", write_file(tmp_path))

    assert job.returncode == 2
    assert f"{tmp_path}/pool" in job.stderr
