"""Oracle: MLflow's own client reading the store, after the server was away, after a crash, and after a second call."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlflow
import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Run
from synthetic_run import SPEC, finish_select, write_run

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.stopping.criterion import End
from hybridal_ray.stopping.end_file import keep_end
from hybridal_ray.tracking import mlflow_models
from hybridal_ray.tracking.mlflow_sync import SyncReport, sync_run


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file with MLflow's tables: its migrations take seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


class Store:
    def __init__(self, folder: Path, empty_store: Path) -> None:
        self.folder = folder
        shutil.copy(empty_store, folder / "mlflow.db")
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(self.uri, self.uri)

    def sync(self, run: Path, pool: Pool, **further: str) -> SyncReport:
        return sync_run(
            str(run),
            pool,
            tracking_uri=self.uri,
            experiment="squares",
            run_name="claus, seed 0",
            artifact_root=str(self.folder / "artifacts"),
            model_name="squares-detector",
            **further,
        )

    def runs(self, kind: str) -> list[Run]:
        experiment = self.client.get_experiment_by_name("squares")
        found = self.client.search_runs([experiment.experiment_id], f"tags.`hybridal.kind` = '{kind}'")
        return sorted(found, key=lambda run: run.data.tags.get("hybridal.round", ""))

    def curve(self, run: Run, name: str) -> list[tuple[int, float]]:
        return [(metric.step, metric.value) for metric in self.client.get_metric_history(run.info.run_id, name)]

    def files(self, run: Run, folder: str | None = None) -> set[str]:
        return {info.path for info in self.client.list_artifacts(run.info.run_id, folder)}

    def dump(self) -> dict[str, object]:
        """All that a repeated call could have doubled."""
        return {
            run.info.run_id: (
                run.data.params,
                run.data.tags,
                {name: self.curve(run, name) for name in run.data.metrics},
                [output.model_id for output in run.outputs.model_outputs],
                len(run.inputs.dataset_inputs),
            )
            for run in [*self.runs("run"), *self.runs("round")]
        }


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> Store:
    return Store(tmp_path, empty_store)


def refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def test_one_parent_with_the_curves_and_a_nested_run_a_round(run: Path, squares: Pool, store: Store) -> None:
    report = store.sync(run, squares, status="FINISHED")
    assert (report.sent, report.pending, report.error) == ((0, 1), (), None)
    (parent,) = store.runs("run")
    assert parent.info.run_id == report.parent_run_id
    assert (parent.info.status, parent.info.run_name) == ("FINISHED", "claus, seed 0")
    assert store.curve(parent, "frame_map_at_0.5") == [(4, pytest.approx(0.32)), (8, pytest.approx(0.512))]
    assert parent.data.params == {
        "pool": "squares", "budget.videos": "2", "budget.frames": "[1, 2]", "seed": "0", "evaluation.split": "test",
    }  # fmt: skip
    assert parent.data.tags["pool_identity"] == squares.identity()
    assert parent.data.tags["version.torch"] == torch.__version__
    assert parent.inputs.dataset_inputs[0].dataset.digest == squares.identity()
    assert store.files(parent) == {"config.yaml", "provenance.json"}
    for index, child in enumerate(store.runs("round")):
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["hybridal.round"] == str(index)
        assert child.info.status == "FINISHED"
        assert [step for step, _ in store.curve(child, "training/loss")] == list(range(20))
        assert store.curve(child, "cluster_1_quota") == [(4 * (index + 1), 2.0)]
        files = {"selection.parquet", "selection.csv", "clusters.csv", "metrics.json", "history.json"}
        assert store.files(child) == files


def test_figures_go_to_the_round_and_the_latest_curve_to_the_parent(run: Path, squares: Pool, store: Store) -> None:
    for name in ("learning_curve.png", "contact_sheet.png"):
        storage.write_bytes(str(run / "rounds/000/report" / name), b"png")
    store.sync(run, squares)
    assert "learning_curve.png" in store.files(store.runs("run")[0])
    assert store.files(store.runs("round")[0], "report") == {"report/learning_curve.png", "report/contact_sheet.png"}


def test_a_second_call_changes_nothing(run: Path, squares: Pool, store: Store) -> None:
    store.sync(run, squares)
    before = store.dump()
    assert store.sync(run, squares).sent == ()
    shutil.rmtree(run / "tracking")  # as if the markers had not been written: everything goes out once more
    assert store.sync(run, squares).sent == (0, 1)
    assert store.dump() == before
    assert len(store.client.search_model_versions("name = 'squares-detector'")) == 1


def test_what_ended_the_run_is_a_tag_of_the_parent_until_it_goes_on(run: Path, squares: Pool, store: Store) -> None:
    for end, told in ((None, "not ended"), (End("target", 1, "good enough"), "target"), (None, "not ended")):
        keep_end(str(run), end)
        store.sync(run, squares)
        assert store.runs("run")[0].data.tags["ended_by"] == told


def test_the_rest_of_a_round_is_sent_later(run: Path, squares: Pool, store: Store) -> None:
    for stage in ("score", "select"):
        (run / f"rounds/001/{stage}.done.json").unlink()
    (run / "rounds/001/selection.parquet").unlink()
    assert store.sync(run, squares).sent == (0, 1)
    last = store.runs("round")[1]
    assert (last.info.status, store.files(last)) == ("RUNNING", {"metrics.json", "history.json"})
    store.sync(run, squares, status="FAILED")
    assert store.runs("round")[1].info.status == "FAILED"
    finish_select(run, squares, 1, clusters=2, videos_a_round=2)
    assert store.sync(run, squares).sent == (1,)
    last = store.runs("round")[1]
    assert last.info.status == "FINISHED"
    assert "selection.csv" in store.files(last)
    assert store.runs("run")[0].info.status == "RUNNING"


def test_a_refused_server_costs_seconds_and_a_working_one_gets_everything_later(
    run: Path, squares: Pool, store: Store
) -> None:
    began = time.monotonic()
    report = sync_run(
        str(run), squares, tracking_uri=f"http://127.0.0.1:{refused_port()}", experiment="squares", run_name="x"
    )
    assert time.monotonic() - began < 5
    assert (report.parent_run_id, report.sent, report.pending) == (None, (), (0, 1))
    assert "nothing answers" in str(report.error)
    assert not (run / "tracking").exists()
    assert store.sync(run, squares).sent == (0, 1)


@pytest.mark.slow
def test_a_server_that_only_fails_is_given_up_on_in_seconds(run: Path, squares: Pool) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _AlwaysUnavailable) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        began = time.monotonic()
        uri = f"http://127.0.0.1:{server.server_port}"
        report = sync_run(str(run), squares, tracking_uri=uri, experiment="squares", run_name="x")
        server.shutdown()
    assert time.monotonic() - began < 30
    assert "503" in str(report.error)
    assert report.pending == (0, 1)


class _AlwaysUnavailable(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self.send_error(503)

    def do_GET(self) -> None:
        self.send_error(503)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("moment", ["add_points", "put_files", "set_status"])
def test_a_crash_at_any_moment_leaves_nothing_doubled(
    run: Path, squares: Pool, store: Store, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(f"hybridal_ray.tracking.mlflow_runs.TrackedRun.{moment}", _break)
        report = store.sync(run, squares)
        assert "RuntimeError: the connection broke" in str(report.error)
        assert report.pending == (0, 1)
    assert store.sync(run, squares).sent == (0, 1)
    assert len(store.runs("run")) == 1
    assert [child.data.tags["hybridal.round"] for child in store.runs("round")] == ["0", "1"]
    assert len(store.curve(store.runs("run")[0], "frame_map_at_0.5")) == 2


def test_a_torn_model_upload_is_begun_anew(
    run: Path, squares: Pool, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_model_artifacts", _break)
        assert "the connection broke" in str(store.sync(run, squares).error)
    store.sync(run, squares)
    for child in store.runs("round"):
        models = mlflow_models.models_of_run(store.client, child.info.experiment_id, child.info.run_id)
        assert [model.status for model in models] == [LoggedModelStatus.READY]


def test_a_store_that_was_emptied_gets_everything_again(run: Path, squares: Pool, store: Store, tmp_path: Path) -> None:
    first = store.sync(run, squares)
    store.client.delete_run(str(first.parent_run_id))
    for child in store.runs("round"):
        store.client.delete_run(child.info.run_id)
    second = store.sync(run, squares)
    assert second.sent == (0, 1)
    assert second.parent_run_id != first.parent_run_id


def test_a_deleted_experiment_is_named(run: Path, squares: Pool, store: Store) -> None:
    store.sync(run, squares)
    store.client.delete_experiment(store.client.get_experiment_by_name("squares").experiment_id)
    assert "experiment 'squares' was deleted in MLflow" in str(store.sync(run, squares).error)


def test_the_best_rounds_model_loads_and_can_sample_dropout(run: Path, squares: Pool, store: Store) -> None:
    store.sync(run, squares)
    best = store.client.get_model_version_by_alias("squares-detector", "best")
    assert best.tags["hybridal.round"] == "1"
    mlflow.set_tracking_uri(store.uri)
    try:
        model = mlflow.pyfunc.load_model("models:/squares-detector@best")
    finally:
        mlflow.set_tracking_uri(None)
    loaded = model.get_raw_model()
    expected = load_detector(str(run / "rounds/001/train/checkpoint"))
    assert loaded.spec == SPEC
    for name, tensor in expected.detector.state_dict().items():
        assert torch.equal(loaded.detector.state_dict()[name], tensor)
    clips = torch.rand(2, 3, 4, 32, 32) * 2 - 1
    answer = model.predict(clips.numpy())
    with torch.inference_mode():
        truth = expected.detector.decode(expected.detector.encode(clips))
    np.testing.assert_allclose(answer["mask_probabilities"], truth.mask_logits.sigmoid().numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answer["latent"], truth.latent.numpy(), rtol=1e-5, atol=1e-6)
    assert loaded.detector.train().training


def test_the_alias_moves_only_to_a_better_round(run: Path, squares: Pool, store: Store, tmp_path: Path) -> None:
    store.sync(run, squares)
    weaker, stronger = tmp_path / "weaker", tmp_path / "stronger"
    write_run(weaker, squares, rounds=1)
    write_run(stronger, squares, rounds=3)
    held_by = []
    for other in (weaker, stronger, weaker):
        store.sync(other, squares)
        best = store.client.get_model_version_by_alias("squares-detector", "best")
        held_by.append((best.version, best.tags["hybridal.round"]))
    assert held_by == [(1, "1"), (3, "2"), (3, "2")]


def test_figures_of_different_splits_are_not_compared(run: Path, squares: Pool, store: Store, tmp_path: Path) -> None:
    """A weaker figure of the split val is no worse than a better one of the split test; the later one is taken."""
    store.sync(run, squares)
    write_run(tmp_path / "weaker", squares, rounds=1)
    config = tmp_path / "weaker" / "config.yaml"
    config.write_text(config.read_text().replace("split: test", "split: val"))
    store.sync(tmp_path / "weaker", squares)
    best = store.client.get_model_version_by_alias("squares-detector", "best")
    assert (best.tags["hybridal.round"], best.tags["hybridal.split"]) == ("0", "val")


def test_a_run_directory_without_a_configuration_is_reported_not_raised(run: Path, squares: Pool, store: Store) -> None:
    (run / "config.yaml").unlink()
    report = store.sync(run, squares)
    assert "config.yaml: no such file" in str(report.error)


def test_changed_settings_keep_the_first_value(run: Path, squares: Pool, store: Store) -> None:
    store.sync(run, squares)
    (run / "config.yaml").write_text("pool: squares\nseed: 1\nactors: 4\nevaluation: {split: test}\n")
    assert store.sync(run, squares).error is None
    params = store.runs("run")[0].data.params
    assert (params["seed"], params["actors"]) == ("0", "4")


def test_mlflow_is_imported_only_to_send() -> None:
    program = "import sys, hybridal_ray.tracking.mlflow_sync; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_requirements_drop_build_tags() -> None:
    versions = {"torch": "2.13.0+cpu", "numpy": "2.4.0", "ray": "2.60.0"}
    assert mlflow_models.pinned_requirements(versions) == ["numpy==2.4.0", "torch==2.13.0"]


def _break(*_: object, **__: object) -> None:
    raise RuntimeError("the connection\nbroke")
