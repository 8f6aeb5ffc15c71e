"""The job as a process of its own: its exit code, what it says, and where it leaves its files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_pool import begin_run, write_settings, write_small_pool

REPOSITORY = Path(__file__).parents[2]


def al_loop(*arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Runs the job outside the repository, as Ray does, without anything of this session's environment in the way."""
    command = [sys.executable, str(REPOSITORY / "jobs" / "al_loop.py"), *map(str, arguments)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "MLFLOW_", "PYTHON"))}
    return subprocess.run(command, env=clean | environment, cwd="/", capture_output=True, text=True, check=False)


def told_in_one_line(job: "subprocess.CompletedProcess[str]") -> str:
    assert job.returncode == 2, job.stderr
    assert "Traceback" not in job.stderr
    assert job.stderr.startswith("al_loop: ")
    assert job.stderr.count("\n") == 1
    return job.stderr


def test_an_unknown_field(tmp_path: Path) -> None:
    line = told_in_one_line(al_loop("--config", write_settings(tmp_path), "trainig.epochs=2"))

    assert "trainig: no such field; did you mean 'training'?" in line


def test_fields_may_stand_before_and_behind_a_flag(tmp_path: Path) -> None:
    line = told_in_one_line(al_loop("--config", write_settings(tmp_path), "seed=1", "--wait", "trainig.epochs=2"))

    assert "trainig: no such field" in line


def test_a_place_that_is_relative(tmp_path: Path) -> None:
    line = told_in_one_line(al_loop("--config", write_settings(tmp_path), "root=results"))

    assert "root=results: would lie in the job's temporary copy" in line
    assert "expected an absolute path or a URI" in line


def test_no_pool(tmp_path: Path) -> None:
    assert f"{tmp_path}/pool" in told_in_one_line(al_loop("--config", write_settings(tmp_path)))


def test_the_directory_of_another_run(tmp_path: Path) -> None:
    begin_run(tmp_path)

    line = told_in_one_line(al_loop("--config", write_settings(tmp_path), "budget.frames_per_video=3"))

    assert "budget.frames_per_video was 4 and is now 3" in line


def test_no_cluster_at_the_address(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool")

    job = al_loop("--config", write_settings(tmp_path), "scoring.actors=1", RAY_ADDRESS="127.0.0.1:1")

    assert "RAY_ADDRESS=127.0.0.1:1: nothing answers there" in told_in_one_line(job)


@pytest.mark.slow
def test_a_job_below_the_home_folder(tmp_path: Path) -> None:
    """The default root, with files and figures and tracking as they come; the demo's configuration in small."""
    small = [
        "rounds=1", "pool.demo.videos=20", "budget.start_videos=4", "budget.videos_per_round=2",
        "detector.input_size=32", "detector.clip_frames=4", "detector.options={width: 8, pyramid_width: 8}",
        "training.epochs=1", "training.steps_per_epoch=1", "training.batch_size=2", "training.workers=0",
        "clustering.clusters=2", "scoring.passes=1", "scoring.actors=0",
    ]  # fmt: skip

    job = al_loop("--config", REPOSITORY / "configs" / "demo.yaml", *small, HOME=str(tmp_path))

    assert job.returncode == 0, job.stderr
    assert f"run: {tmp_path}/hybridal/runs/demo" in job.stdout
    assert f"sqlite:///{tmp_path}/hybridal/mlflow.db" in job.stdout
    assert (tmp_path / "hybridal" / "runs" / "demo" / "rounds" / "000" / "selection.parquet").exists()
    assert (tmp_path / "hybridal" / "mlflow.db").exists()
