"""A comparison in MLflow. Oracle: what MLflow's own client finds in the store afterwards."""

from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.comparison_run import MemberRun, sync_comparison
from hybridal_ray.tracking.mlflow_sync import sync_run
from hybridal_ray.tracking.provenance import write_provenance


@pytest.fixture
def directory(tmp_path: Path, squares: Pool) -> Path:
    write_provenance(str(tmp_path / "comparison"), squares)
    return tmp_path / "comparison"


def sync(directory: Path, uri: str, members: list[MemberRun], **changes: Any) -> str | None:
    settings: dict[str, Any] = {
        "tracking_uri": uri,
        "experiment": "strategies",
        "artifact_root": str(directory.parent / "artifacts"),
        "files": {"comparison.md": b"# table", "figures/a.png": b"png"},
        "figures": {"area/frame_map@0.5/claus": 0.25},
        "status": "RUNNING",
        **changes,
    }
    return sync_comparison(str(directory), members, **settings)


def test_answer_of_its_own_and_tags_of_the_members(run: Path, squares: Pool, directory: Path) -> None:
    uri = f"sqlite:///{directory.parent}/mlflow.db"
    members = [MemberRun(str(run), "claus", 3), MemberRun(str(directory / "not-begun"), "random", 3)]
    # The experiment is there before its first member, with the artifacts where they belong.
    assert sync(directory, uri, members) is None
    sent = sync_run(str(run), squares, tracking_uri=uri, experiment="strategies", run_name="claus-3", status="FINISHED")
    assert sent.error is None
    assert sync(directory, uri, members, figures={"area/frame_map@0.5/claus": 0.5}, status="FINISHED") is None

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("strategies")
    (own,) = client.search_runs([experiment.experiment_id], "tags.`hybridal.kind` = 'comparison'")
    assert (own.info.run_name, own.info.status) == ("strategies", "FINISHED")
    assert own.data.metrics == {"area/frame_map_at_0.5/claus": 0.5}
    assert {file.path for file in client.list_artifacts(own.info.run_id)} == {"comparison.md", "figures"}
    tagged = client.search_runs([experiment.experiment_id], "tags.arm = 'claus' and tags.seed = '3'")
    (member,) = (found for found in tagged if found.info.run_id == sent.parent_run_id)
    assert member.data.tags["comparison"] == "strategies"
    rounds = client.search_runs([experiment.experiment_id], "tags.`hybridal.kind` = 'round'")
    assert rounds
    assert {found.info.run_id for found in rounds} == {found.info.run_id for found in tagged} - {member.info.run_id}


def test_a_run_that_was_done_again_stands_alone_for_its_arm(run: Path, squares: Pool, directory: Path) -> None:
    """Deleted and begun anew it has another identity; what it was before must not count as one more seed."""
    uri = f"sqlite:///{directory.parent}/mlflow.db"
    members = [MemberRun(str(run), "claus", 3)]
    assert sync(directory, uri, members) is None
    for _ in range(2):
        send = {"tracking_uri": uri, "experiment": "strategies", "run_name": "claus-3", "status": "FINISHED"}
        sent = sync_run(str(run), squares, **send)
        assert sync(directory, uri, members) is None
        (run / "provenance.json").unlink()
        write_provenance(str(run), squares)

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("strategies")
    kinds = "tags.`hybridal.kind` = 'run' and tags.arm = '{}'"
    (now,) = client.search_runs([experiment.experiment_id], kinds.format("claus"))
    (before,) = client.search_runs([experiment.experiment_id], kinds.format("replaced"))
    assert now.info.run_id == sent.parent_run_id
    assert before.data.tags["seed"] == "3"


def test_a_server_that_is_not_there_is_told(directory: Path) -> None:
    error = sync(directory, "http://user:secret@127.0.0.1:1", [])

    assert error is not None
    assert "nothing answers on 127.0.0.1:1" in error
    assert "secret" not in error
