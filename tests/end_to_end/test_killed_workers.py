"""SIGKILL to the processes that Ray runs for a job, and to the job on a cluster that outlives it.

Oracle: the same run, on as many training workers, that nothing disturbed.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from killed_jobs import Assassin, kill_when, ray_workers, start_job
from tiny_runs import outcome, run_tiny

from hybridal_ray.run_store import RunStore

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

# Epochs long enough to be caught in the midst of one.
ON_RAY: dict[str, Any] = {"rounds": 1, "training__workers": 2, "training__epochs": 3, "training__steps_per_epoch": 20}


@pytest.fixture(scope="module")
def undisturbed_on_ray(tiny_pool: Path, tmp_path_factory: pytest.TempPathFactory, ray_cluster: None) -> Path:
    run, _ = run_tiny(tmp_path_factory.mktemp("undisturbed-on-ray"), tiny_pool, **ON_RAY)
    return run


def first_epoch(run: Path) -> Path:
    return run / "rounds/000/train/ray/epoch-0001"


def test_killed_training_worker(undisturbed_on_ray: Path, tiny_pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assassin = Assassin(first_epoch(run).exists, lambda: ray_workers("RayTrainWorker", os.getpid()))
    assassin.start()
    run_tiny(tmp_path, tiny_pool, **ON_RAY)
    assert assassin.killed
    assert outcome(run) == outcome(undisturbed_on_ray)


def test_job_killed_while_it_trains_on_ray(undisturbed_on_ray: Path, tiny_pool: Path, tmp_path: Path) -> None:
    import ray

    run = tmp_path / "run"
    address = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    job = start_job(tmp_path, tiny_pool, environment=address, **ON_RAY)
    kill_when(job, "round 0: train …", then=first_epoch(run).exists)
    assert not (run / "rounds/000/train.done.json").exists()
    run_tiny(tmp_path, tiny_pool, **ON_RAY)
    assert outcome(run) == outcome(undisturbed_on_ray)


def test_job_killed_between_training_on_ray_and_its_marker(
    undisturbed_on_ray: Path, tiny_pool: Path, tmp_path: Path
) -> None:
    """Ray's record of the training is finished then, and is entered again."""
    run = Path(shutil.copytree(undisturbed_on_ray, tmp_path / "run"))
    stages = ("train", "evaluate", "score", "select")
    for lost in ("train/checkpoint", "evaluate", "scores"):
        shutil.rmtree(run / "rounds/000" / lost)
    for lost in ("train/history.json", "selection.parquet", *(f"{stage}.done.json" for stage in stages)):
        (run / "rounds/000" / lost).unlink()
    run_tiny(tmp_path, tiny_pool, **ON_RAY)
    assert outcome(run) == outcome(undisturbed_on_ray)


def test_killed_scoring_actor(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assassin = Assassin(
        (run / "rounds/000/scores/part-00000.parquet").exists, lambda: ray_workers("ChunkActor", os.getpid())
    )
    assassin.start()
    run_tiny(tmp_path, tiny_pool, scoring__actors=2, scoring__cpus_per_actor=0.5)
    assert assassin.killed
    assert RunStore(str(run)).stage(0, "score").summary()["actor_restarts"] == 1
    assert outcome(run) == outcome(undisturbed)
