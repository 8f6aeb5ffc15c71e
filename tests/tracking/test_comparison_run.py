"""A comparison in MLflow. Oracle: what MLflow's own client finds in the store afterwards."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hybridal_ray.tracking.comparison_run import MemberRun, sync_comparison
from hybridal_ray.tracking.mlflow_sync import sync_run
from hybridal_ray.tracking.provenance import write_provenance


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


def sync(folder: Path, store: str, members: list[MemberRun], **changes: Any) -> str | None:
    settings: dict[str, Any] = {
        "tracking_uri": store,
        "experiment": "strategies",
        "artifact_root": str(folder / "mlartifacts"),
        "files": {"comparison.md": b"# table", "figures/a.png": b"png"},
        "figures": {"area/frame_map@0.5/claus": 0.25},
        "status": "RUNNING",
        **changes,
    }
    return sync_comparison(str(folder / "comparison"), members, **settings)


def test_answer_and_tags(tmp_path: Path, store: str, finished_run: tuple) -> None:
    run_root, pool = finished_run
    write_provenance(str(tmp_path / "comparison"), pool)
    sent = sync_run(run_root, pool, tracking_uri=store, experiment="strategies", run_name="claus-3", status="FINISHED")
    assert sent.error is None
    members = [MemberRun(run_root, "claus", 3), MemberRun(str(tmp_path / "not-begun"), "random", 3)]

    assert sync(tmp_path, store, members) is None
    assert sync(tmp_path, store, members, figures={"area/frame_map@0.5/claus": 0.5}, status="FINISHED") is None

    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("strategies")
    (own,) = client.search_runs([experiment.experiment_id], "tags.`hybridal.kind` = 'comparison'")
    assert (own.info.run_name, own.info.status) == ("strategies", "FINISHED")
    assert own.data.metrics == {"area/frame_map_at_0.5/claus": 0.5}
    assert {file.path for file in client.list_artifacts(own.info.run_id)} == {"comparison.md", "figures"}
    (member,) = client.search_runs([experiment.experiment_id], "tags.arm = 'claus' and tags.seed = '3'")
    assert member.info.run_id == sent.parent_run_id
    assert member.data.tags["comparison"] == "strategies"


def test_a_store_that_is_not_there_is_told(tmp_path: Path, small_pool_with_run: tuple) -> None:
    _, pool = small_pool_with_run
    write_provenance(str(tmp_path / "comparison"), pool)

    error = sync(tmp_path, "http://user:secret@127.0.0.1:1", [])

    assert error is not None
    assert "nothing answers on 127.0.0.1:1" in error
    assert "secret" not in error
