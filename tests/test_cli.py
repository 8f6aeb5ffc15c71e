"""The command line: what it prints is compared with what the package says of the same pool and run."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from small_pool import begin_run, write_settings, write_small_pool

from hybridal_ray.pool.tables import load_pool
from hybridal_ray.report import pool_facts, run_report

TINY = [
    "rounds=1", "budget.start_videos=4", "budget.videos_per_round=2", "detector.input_size=32",
    "detector.clip_frames=4", "detector.options={width: 8, pyramid_width: 8}", "training.epochs=1",
    "training.steps_per_epoch=1", "training.batch_size=2", "clustering.clusters=2", "scoring.passes=1",
]  # fmt: skip


def told_in_one_line(result: tuple[int, str, str]) -> str:
    """The one line on stderr of a call that ended as one does that the user can mend."""
    code, _, err = result
    assert code == 2
    assert "Traceback" not in err
    assert err.startswith("hybridal: ")
    assert err.count("\n") == 1
    return err


def test_help_names_every_command(hybridal) -> None:
    code, out, _ = hybridal("--help")

    assert code == 0
    for command in ("demo-pool", "ingest", "run", "status"):
        assert command in out
    assert "jhmdb-21" in hybridal("ingest", "--help")[1]


def test_the_version_is_that_of_the_installed_package(hybridal) -> None:
    assert hybridal("--version") == (0, f"hybridal {importlib.metadata.version('hybridal-ray')}\n", "")


def test_the_installed_command_starts() -> None:
    command = Path(sys.executable).with_name("hybridal")

    assert "Usage" in subprocess.run([command, "--help"], capture_output=True, text=True, check=True).stdout


@pytest.mark.slow
def test_a_pool_is_made_and_a_run_on_it_reported(hybridal, tmp_path: Path) -> None:
    pool = tmp_path / "pool"
    code, out, err = hybridal("demo-pool", pool, "--videos", 20, "--seed", 3, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == pool_facts(load_pool(str(pool)))

    settings = write_settings(tmp_path)
    code, out, err = hybridal("run", "--config", settings, *TINY, "--json")
    report = run_report(str(tmp_path / "runs" / "small")).as_json()
    assert code == 0
    assert json.loads(out) == report
    assert report["state"].startswith("finished after 1 rounds")
    assert "round 0: train took" in err

    code, out, _ = hybridal("run", "--config", settings, *TINY)
    assert code == 0
    assert "round 0: train is done already" in out
    assert f"run: {tmp_path}/runs/small" in out


def test_status_tells_where_a_run_is(hybridal, tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)

    assert json.loads(hybridal("status", store.root, "--json")[1]) == run_report(store.root).as_json()
    assert "state: start, next stage: label" in hybridal("status", store.root)[1]


def test_status_of_no_run(hybridal, tmp_path: Path) -> None:
    assert f"{tmp_path}: no run is there" in told_in_one_line(hybridal("status", tmp_path))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainig.epochs=2", "trainig: no such field; did you mean 'training'?"),
        ("training.epoch=2", "training.epoch: no such field; did you mean 'epochs'?"),
        ("training.epochs=none", "training.epochs: "),
        ("training.epochs", "override 'training.epochs': expected dotted.key=value"),
        ("selection.strategy=claws", "selection.strategy"),
        ("pool.path=elsewhere", "elsewhere"),
        ("seed=1", "seed was 0 and is now 1"),
    ],
)
def test_what_the_user_can_mend_is_one_line(hybridal, tmp_path: Path, override: str, message: str) -> None:
    begin_run(tmp_path)

    assert message in told_in_one_line(hybridal("run", "--config", write_settings(tmp_path), override))


def test_no_configuration_file(hybridal, tmp_path: Path) -> None:
    assert "missing.yaml: cannot be read" in told_in_one_line(hybridal("run", "--config", tmp_path / "missing.yaml"))


def test_no_data_set_to_ingest(hybridal, tmp_path: Path) -> None:
    folders = [f"--{name}={tmp_path}/{name}" for name in ("videos", "masks", "groups")]

    assert str(tmp_path) in told_in_one_line(hybridal("ingest", "jhmdb-21", *folders, f"--out={tmp_path}/pool"))


def test_pools_are_written_to_uris(hybridal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where a URI that is taken for a path would leave a folder named file:
    demo, jhmdb = (tmp_path / "elsewhere" / name for name in ("demo", "jhmdb"))
    assert hybridal("demo-pool", demo.as_uri(), "--videos", 20, "--json")[0] == 0
    clips = {"walk|a": ["walk/a.avi"], "walk|b": ["walk/b.avi"]}
    (tmp_path / "groups.json").write_text(json.dumps(clips))
    for (clip,) in clips.values():
        for file in (tmp_path / "videos" / clip, (tmp_path / "masks" / clip).with_suffix(".mat")):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"nothing that can be read")
    folders = ("--videos", "videos", "--masks", "masks", "--groups", "groups.json")
    code, out, _ = hybridal("ingest", "jhmdb-21", *folders, "--out", jhmdb.as_uri())
    assert code == 0
    assert "note: 2 of 2 videos are unreadable: walk/a (" in out
    assert [load_pool(str(root)).name for root in (demo, jhmdb)] == ["demo", "jhmdb_21"]
    names = {file.name for file in tmp_path.iterdir()}
    assert names == {"elsewhere", "groups.json", "masks", "videos"}


def test_no_cluster_at_the_address(hybridal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small_pool(tmp_path / "pool")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")  # a port that no Ray takes

    line = told_in_one_line(hybridal("run", "--config", write_settings(tmp_path), "training.workers=1"))

    assert "RAY_ADDRESS=127.0.0.1:1: nothing answers there" in line


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_too_small_a_cluster(hybridal, tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool")

    line = told_in_one_line(hybridal("run", "--config", write_settings(tmp_path), "scoring.actors=3"))

    assert "scoring.actors=3" in line
    assert "room for 2" in line
