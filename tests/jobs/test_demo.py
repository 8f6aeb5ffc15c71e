"""The demo up to where Ray begins: what it refuses, and what it shows of a job; jobs here are plain processes."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

DEMO = Path(__file__).parents[2] / "jobs" / "demo.py"


@pytest.fixture(scope="module")
def demo() -> dict[str, Any]:
    return runpy.run_path(str(DEMO))


def job(*lines: str) -> "subprocess.Popen[str]":
    script = f"print({chr(10).join(lines)!r})"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_a_wrong_configuration_is_told_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--root", str(tmp_path / "new"), "trainig.epochs=2"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr.endswith("demo.yaml: trainig: no such field; did you mean 'training'?\n")
    assert not (tmp_path / "new").exists()


def test_stopping_without_a_head(tmp_path: Path) -> None:
    command = [sys.executable, str(DEMO), "--root", str(tmp_path), "--stop"]

    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_all_that_a_job_says_is_shown(demo: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    with job("round 0: train …", "al_loop is done") as process:
        assert demo["_follow"](process) is None

    assert capsys.readouterr().out == "round 0: train …\nal_loop is done\n"


def test_the_reason_of_a_failure_is_kept_and_its_copy_left_out(
    demo: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    said = ["round 0: train …", "al_loop: no pool there"]
    status = "Status message: failed with exit code 2, last available logs (truncated to 20,000 chars):"
    with job(*said, status, *said) as process:
        assert demo["_follow"](process) == "no pool there"

    assert capsys.readouterr().out.splitlines() == said
