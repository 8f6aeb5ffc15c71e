"""When a run counts as finished. Oracle: what its directory says, and what a person would expect of the next call."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_pool import write_small_pool
from tiny_comparisons import tiny_comparison, write_comparison

from hybridal_ray.comparison.comparing import compare, compare_so_far
from hybridal_ray.comparison.comparison_file import load_comparison
from hybridal_ray.comparison.work import PlannedRun, is_finished, plan_jobs, plan_runs
from hybridal_ray.config import FREE_FIELDS
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import load_pool, save_pool
from hybridal_ray.run_store import RunStore
from hybridal_ray.stopping.criterion import End
from hybridal_ray.stopping.end_file import keep_end


def planned(folder: Path, **overrides: Any) -> PlannedRun:
    """The first run of a comparison, whose options are a mapping that has some already."""
    return plan_runs(
        tiny_comparison(folder, overrides={name.replace("__", "."): overrides[name] for name in overrides})
    )[0]


@pytest.fixture
def finished(tmp_path: Path) -> PlannedRun:
    """A run that has come to its end, noted as all versions have."""
    run, pool = planned(tmp_path), write_small_pool(tmp_path / "pool")
    with RunStore(run.root) as store:
        store.open({**run.config.model_dump(mode="json"), "pool_identity": pool.identity()}, FREE_FIELDS)
    keep_end(run.root, End("rounds", "2 rounds are done", 1))
    storage.write_json(marker(tmp_path), run.config.model_dump(mode="json", exclude={"tracking"}))
    return run


def marker(folder: Path) -> str:
    return f"{directory(folder)}/finished/random-0.json"


def directory(folder: Path) -> str:
    return f"{folder}/comparisons/tiny"


def test_nothing_begun_is_not_finished(tmp_path: Path) -> None:
    assert not is_finished(directory(tmp_path), planned(tmp_path))


def test_a_run_stays_finished_while_nothing_changes_that_decides_it(finished: PlannedRun, tmp_path: Path) -> None:
    """Neither of its machine nor of a field that is new since it ended."""
    free = {"device": "cuda", "tracking__figures": True, "cluster__may_grow": True, "oracle__poll_seconds": 1}
    for overrides in ({}, *({name: value} for name, value in free.items())):
        assert is_finished(directory(tmp_path), planned(tmp_path, **overrides)), overrides
    older = finished.config.model_dump(mode="json", exclude={"tracking": True, "scoring": {"passes"}})
    storage.write_json(marker(tmp_path), older)
    assert is_finished(directory(tmp_path), finished)


@pytest.mark.parametrize(
    "overrides",
    [
        {"rounds": 5},
        {"budget__max_frames": 500},
        {"stopping__flat_uncertainty": {"change": 0.1}},
        {"training__epochs": 3},
        {"pool__path": "other"},
        {"detector__options__dropout": 0.1},  # an option beside others
        {"selection__options": {"frames": "random"}},  # the first option
    ],
)
def test_a_run_that_is_decided_otherwise_is_not_finished(
    overrides: dict[str, Any], finished: PlannedRun, tmp_path: Path
) -> None:
    assert not is_finished(directory(tmp_path), planned(tmp_path, **overrides))


def test_a_run_whose_directory_was_deleted_is_done_again(finished: PlannedRun, tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path, seeds=1)
    assert [job.name for job in plan_jobs(comparison, plan_runs(comparison)) if job.run is not None] == ["claus-0"]
    shutil.rmtree(finished.root)
    names = [job.name for job in plan_jobs(comparison, plan_runs(comparison)) if job.run is not None]
    assert names == ["random-0", "claus-0"]


def test_a_finished_run_on_a_pool_that_has_changed_since_says_so(finished: PlannedRun, tmp_path: Path) -> None:
    """Its labelled frames are told as a share of the pool's, which are others now."""
    pool = load_pool(str(tmp_path / "pool"))
    save_pool(dataclasses.replace(pool, name="grown"))
    (curve, _) = compare_so_far(tiny_comparison(tmp_path, seeds=1)).answer.curves

    assert (curve.finished, curve.state) == (True, f"finished, on another pool than {tmp_path}/pool is now")


def test_a_comparison_that_is_moved_keeps_what_is_finished(finished: PlannedRun, tmp_path: Path) -> None:
    """Its pool has gone along, so nothing lies any more where the runs' own files say."""
    before, after = tmp_path, tmp_path.with_name(f"{tmp_path.name}-moved")
    shutil.copytree(before, after)
    shutil.rmtree(before)
    (after / "tiny.yaml").unlink()
    curves = compare_so_far(tiny_comparison(after, seeds=1)).answer.curves

    assert [(curve.arm, curve.state) for curve in curves] == [("random", "finished"), ("claus", "not begun")]


def test_a_run_that_failed_is_still_told_of_when_other_arms_are_run_alone(tmp_path: Path) -> None:
    write_small_pool(tmp_path / "pool")
    arms = {
        name: {"overrides": {"selection.strategy": name, "training.epochs": epochs}}
        for name, epochs in (("nosuch", 1), ("neither", 2))  # other trainings, so that no first round is shared
    }
    file = write_comparison(tmp_path, seeds=1, arms=arms, reference="nosuch")
    every = compare(load_comparison(file), lambda line: None).answer.curves
    compare(load_comparison(file, ["only=[nosuch]"]), lambda line: None)

    assert [curve.state.split(":")[0] for curve in every] == ["failed"] * 2
    assert compare_so_far(load_comparison(file)).answer.curves == every


def test_a_run_that_waits_for_people_is_not_finished_and_is_gone_on_with(comparison_pool: Path, tmp_path: Path) -> None:
    """Five videos of three frames are asked for at the start; nobody answers, so each call comes as far as that."""
    overrides = {"pool.path": str(comparison_pool), "oracle.name": "files"}
    comparison, said = tiny_comparison(tmp_path, seeds=1, overrides=overrides), list[str]()
    waits = "waits for people: 0 of 15 frames answered, 15 answers open; request in "
    for _ in range(2):
        curves = compare(comparison, said.append).answer.curves
        assert [(curve.arm, curve.finished, curve.state.split("/")[0]) for curve in curves] == [
            ("random", False, waits), ("claus", False, waits),
        ]  # fmt: skip
    place = f"in {tmp_path}/comparisons/tiny"
    assert said == 2 * [
        f"tiny: 2 runs, 0 of them finished, {place}",
        *(f"{run}: {waits}{tmp_path}/comparisons/tiny/runs/{run}/start/request" for run in ("random-0", "claus-0")),
    ]
    assert compare_so_far(comparison).answer.curves == curves
