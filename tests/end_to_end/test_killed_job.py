"""SIGKILL to the job's own process, in each stage. Oracle: the run that nothing disturbed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from killed_jobs import kill_when, start_job
from tiny_runs import CONFIG_FILE, outcome, overrides, run_tiny

# By stage: the line at which the job is near, the file below the run that tells that it is inside, and what it must
# not have finished when it dies. Selection and labelling are over in milliseconds: there the line alone must do.
POINTS = {
    "start": ("start: label", None, None),
    "train": ("epoch 0:", None, "rounds/000/train.done.json"),
    "evaluate": ("round 0: evaluate …", "evaluate/predictions/part-00000.parquet", "rounds/000/score.done.json"),
    "score": ("round 0: score …", "scores/part-00001.parquet", "rounds/000/score.done.json"),
    "select": ("round 0: select …", None, None),
    "label": ("round 0: label …", None, None),
    "tracking": ("round 0: select took", "report/training_loss.png", "rounds/000/label.done.json"),
}


@pytest.mark.parametrize("stage", POINTS)
def test_killed_job_goes_on_to_the_same_end(stage: str, undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    line, file, unfinished = POINTS[stage]
    run, inside = tmp_path / "run", tmp_path / "run/rounds/000" / (file or "")
    kill_when(
        start_job(tmp_path, tiny_pool, tracking__figures=True), line, then=inside.exists if file else lambda: True
    )
    assert not (run / "rounds/001/select.done.json").exists()
    if unfinished:
        assert not (run / unfinished).exists()
    run_tiny(tmp_path, tiny_pool)
    assert outcome(run) == outcome(undisturbed)
    assert not list(run.rglob(".*.partial"))


@pytest.mark.slow
def test_job_killed_before_and_after_every_file_that_it_writes(
    undisturbed: Path, tiny_pool: Path, tmp_path: Path
) -> None:
    """A file appears whole or not at all, so these are all the states that a dead job can leave behind."""
    program = Path(__file__).with_name("dying_jobs.py")
    command = [sys.executable, str(program), str(CONFIG_FILE), *overrides(tmp_path, tiny_pool)]
    ended = subprocess.run(
        command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    deaths = json.loads(ended.stdout)
    written = {str(file) for file in (tmp_path / "run").rglob("*") if file.is_file() and file.name != "run.lock"}
    assert not [file for file in written if file.endswith("state.pt")]  # needed until the stage is done, and gone then
    written |= {f"{tmp_path}/run/rounds/{index:03d}/train/state.pt" for index in range(2)}
    assert {tuple(death) for death in deaths} == {(file, moment) for file in written for moment in ("before", "after")}
    assert outcome(tmp_path / "run") == outcome(undisturbed)
