"""Runs and their tracking server. Oracle: what MLflow's own client finds in the store afterwards."""

import socket
from pathlib import Path

import pytest
from killed_jobs import kill_when, start_job
from tiny_runs import outcome, run_tiny

pytestmark = pytest.mark.slow


def tracked(store: Path) -> dict[str, list[int]]:
    """The names of all runs that are tracked, each with the steps of its learning curve."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{store}")
    runs = client.search_runs([client.get_experiment_by_name("hybridal").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    curves = {
        run.info.run_name: [point.step for point in client.get_metric_history(run.info.run_id, "frame_map_at_0.5")]
        for run in runs
    }
    assert len(curves) == len(runs)  # nothing was sent twice
    return curves


WHOLE = {"run": [15, 23], "round 0": [15], "round 1": [23]}  # steps are labelled frames


def test_server_that_is_down_loses_no_round(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    with socket.socket() as closed:  # bound, but nobody listens
        closed.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        run, lines = run_tiny(tmp_path, tiny_pool, tracking__uri=address)
    assert outcome(run) == outcome(undisturbed)
    assert any(line.startswith("tracking: ") and "nothing is lost" in line for line in lines)
    _, lines = run_tiny(tmp_path, tiny_pool, tracking__uri=f"sqlite:///{tmp_path}/late.db")
    assert not any(line.startswith("tracking: ") for line in lines)
    assert tracked(tmp_path / "late.db") == WHOLE


def test_job_killed_while_it_sends_a_round(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    store = tmp_path / "tracked.db"
    settings = {"tracking__uri": f"sqlite:///{store}"}
    artifacts = tmp_path / "mlartifacts"
    job = start_job(tmp_path, tiny_pool, **settings)
    kill_when(job, "round 0: select took", then=lambda: any(artifacts.rglob("*.parquet")))
    assert not (tmp_path / "run/rounds/000/label.done.json").exists()
    run, _ = run_tiny(tmp_path, tiny_pool, **settings)
    assert outcome(run) == outcome(undisturbed)
    assert tracked(store) == WHOLE
