"""A scoring pass on two raylets, one of which is killed. Oracle: the same pool scored in one process, without Ray."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "scoring_faults.py"


@pytest.mark.ray
@pytest.mark.slow
def test_killed_node_costs_no_video_and_moves_no_selection(tmp_path: Path) -> None:
    # A process of its own: the cluster of two raylets is another than that of the other tests.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [sys.executable, str(BENCHMARK), "--out", str(tmp_path / "out"), "--faults", "node killed, mid-pass"]
    ended = subprocess.run(
        command, env={**environment, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
