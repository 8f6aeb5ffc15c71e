"""What is told of a run, against run directories of known state; counts of a pool made by hand."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from small_pool import begin_run, write_small_pool

from hybridal_ray.errors import UserError
from hybridal_ray.pass_progress import ProgressFile, Tally
from hybridal_ray.pool import storage
from hybridal_ray.report import pool_facts, run_report
from hybridal_ray.run_store import ROUND_STAGES, RunStore
from hybridal_ray.stopping.criterion import End
from hybridal_ray.stopping.end_file import keep_end

FILES = {"validate": "validate/metrics.json", "train": "train/history.json", "evaluate": "evaluate/metrics.json"}


def finish(store: RunStore, round_index: int | None, *names: str, frames: int = 4) -> None:
    """Marks stages as done, with the files that a report reads."""
    for name in names:
        stage = store.stage(round_index, name)
        if name in FILES:
            storage.write_json(storage.join(stage.directory, FILES[name]), {})
        stage.finish({"seconds": 1.5, "frames": frames})


def printed(root: str) -> str:
    text = io.StringIO()
    run_report(root).print(Console(file=text, width=140))
    return text.getvalue()


def test_facts_of_a_pool(tmp_path: Path) -> None:
    assert pool_facts(write_small_pool(tmp_path)) == {
        "pool": str(tmp_path),
        "name": "small",
        "classes": 2,
        "train videos": 2,
        "val videos": 0,
        "test videos": 1,
        "missing videos": 1,
        "unreadable videos": 1,
        "frames": 50,
        "boxes": 3,
    }


@pytest.mark.parametrize(
    ("done", "state"),
    [
        ({}, "start, next stage: label"),
        ({None: ("label",)}, "round 0, next stage: train"),
        ({None: ("label",), 0: ("train", "evaluate")}, "round 0, next stage: score"),
        ({None: ("label",), 0: ROUND_STAGES}, "round 1, next stage: train"),
        ({None: ("label",), 0: ROUND_STAGES, 1: ROUND_STAGES[:3]}, "round 1, next stage: select"),
        ({None: ("label",), 0: ROUND_STAGES, 1: ROUND_STAGES[:4]}, "finished after 2 rounds"),
    ],
)
def test_the_state_names_the_next_stage(tmp_path: Path, done: dict[int | None, tuple[str, ...]], state: str) -> None:
    _, store = begin_run(tmp_path)
    for round_index, names in done.items():
        finish(store, round_index, *names)

    assert run_report(store.root).state.startswith(state)


def test_a_run_that_picked_nothing_is_finished(tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    finish(store, None, "label")
    finish(store, 0, "train", "evaluate", "score")
    finish(store, 0, "select", frames=0)

    assert run_report(store.root).state == "finished: the pool or the budget is used up"


def test_the_end_of_a_run_is_told_with_what_ended_it(tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    finish(store, None, "label")
    finish(store, 0, "train", "evaluate", "score", "select")
    assert run_report(store.root).as_json()["end"] is None
    keep_end(store.root, End("target", 0, "good enough"))

    state = "finished after 1 rounds, ended by target: good enough; selection.parquet of the last one is the next batch"
    assert f"state: {state} to label" in printed(store.root)
    assert run_report(store.root).as_json()["end"] == {"criterion": "target", "round": 0, "reason": "good enough"}


@pytest.mark.parametrize(("split", "next_stage"), [("test", "validate"), ("val", "score")])
def test_validation_is_a_stage_of_runs_that_ask_for_one(tmp_path: Path, split: str, next_stage: str) -> None:
    stopping = {"target": {"at_least": 0.5}}
    _, store = begin_run(tmp_path, stopping=stopping, evaluation={"split": split})
    finish(store, None, "label")
    finish(store, 0, "train", "evaluate")
    assert run_report(store.root).state == f"round 0, next stage: {next_stage}"
    finish(store, 0, "validate")
    assert run_report(store.root).state == "round 0, next stage: score"


def test_what_is_printed_names_the_run_and_the_rounds(tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    finish(store, None, "label")
    finish(store, 0, "train")

    lines = printed(store.root).splitlines()

    assert f"run: {tmp_path}/runs/small" in lines
    assert "state: round 0, next stage: evaluate" in lines
    assert any(line.split()[:4] == ["0", "0", "0", "0.00"] for line in lines)  # round 0: nothing is in the ledger
    assert not any("compare rounds" in line for line in lines)


def test_progress_of_a_pass_under_way_is_told_and_that_of_a_finished_one_is_not(tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    finish(store, None, "label")
    finish(store, 0, "train", "evaluate")
    assert run_report(store.root).progress is None
    tally = Tally(8, 800, (ProgressFile(storage.join(store.round_directory(0), "scores")),))
    tally.count(2, 200, {"v": "torn"})

    assert "progress: 2 of 8 videos, 200 frames, " in printed(store.root)
    told = run_report(store.root).as_json()["progress"]
    assert (told["stage"], told["videos_done"], told["frames_done"], told["failed"]) == ("score", 2, 200, 1)

    finish(store, 0, "score")
    assert run_report(store.root).progress is None


@pytest.mark.parametrize(
    ("uri", "way"),
    [
        ("http://127.0.0.1:5000", "compare rounds: http://127.0.0.1:5000\n"),
        (
            "sqlite:////a place/mlflow.db",
            "mlflow server --workers 1 --host 127.0.0.1 --port 5000 --backend-store-uri 'sqlite:",
        ),
    ],
)
def test_the_way_to_the_tracking_server_is_told(tmp_path: Path, uri: str, way: str) -> None:
    _, store = begin_run(tmp_path, tracking={"uri": uri})

    assert way in printed(store.root)


def test_the_report_in_json_is_the_report_in_print(tmp_path: Path) -> None:
    _, store = begin_run(tmp_path)
    finish(store, None, "label")
    finish(store, 0, "train")

    plain = run_report(store.root).as_json()

    assert plain["run"] == store.root
    assert plain["state"] == "round 0, next stage: evaluate"
    assert [row["stage_seconds"] for row in plain["rounds"]] == [{"train": 1.5}]


def test_no_run_and_no_pool_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run is there"):
        run_report(str(tmp_path))
    _, store = begin_run(tmp_path)
    (tmp_path / "pool" / "pool.json").unlink()
    with pytest.raises(UserError, match=f"{tmp_path}/pool"):
        run_report(store.root)
