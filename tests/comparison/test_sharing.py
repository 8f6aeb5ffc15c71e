"""Who may share a first round, and that what is shared is what each run would have made itself, byte for byte."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tiny_comparisons import tiny_comparison

from hybridal_ray.comparison.sharing import (
    AFTER_SCORING,
    AFTER_TRAINING,
    copy_first_round,
    is_begun_alike,
    share_first_rounds,
)
from hybridal_ray.comparison.work import Job, MakeFirstRound, MakeRun, PlannedRun, attempt, plan_jobs, plan_runs
from hybridal_ray.config import Config
from hybridal_ray.pool import storage
from hybridal_ray.run_store import RunStore
from hybridal_ray.section import Section

# All that differs between two computations of the same: what clocks and the size of the process say.
MEASURED = {"seconds", "cpu_seconds", "ended_at", "at", "clips_per_second", "waiting_share", "peak_memory_mib_0"}


def configs(folder: Path, **arms: dict[str, Any]) -> dict[str, Config]:
    comparison = tiny_comparison(
        folder, arms={name: {"overrides": overrides} for name, overrides in arms.items()}, reference=next(iter(arms))
    )
    return {name: comparison.config_of(name, 0) for name in arms}


def groups(found: dict) -> dict[str, str]:
    return {name: first.name for name, first in found.items()}


@pytest.mark.parametrize("fields", [AFTER_TRAINING, AFTER_SCORING])
def test_fields_that_are_left_out_exist(fields: frozenset[str]) -> None:
    for field in fields:
        section: type[Section] = Config
        for name in field.split("."):
            assert name in section.model_fields, field
            section = section.model_fields[name].annotation


def test_scores_depend_on_all_that_weights_depend_on() -> None:
    assert AFTER_SCORING < AFTER_TRAINING


def test_who_shares_what(tmp_path: Path) -> None:
    found = share_first_rounds(
        configs(
            tmp_path,
            random={"selection.strategy": "random"},
            claus={"selection.strategy": "claus"},
            bigger={"selection.strategy": "claus", "budget.videos_per_round": 6},
            passes={"selection.strategy": "claus", "scoring.passes": 3},
            loss={"selection.strategy": "claus", "training.loss.weighting": "none"},
            start={"selection.strategy": "random", "budget.start_videos": 6},
        ),
        "shared",
    )

    assert set(found) == {"random", "claus", "bigger", "passes"}
    assert found["claus"].scored
    assert groups(found)["claus"] == groups(found)["bigger"]
    assert not found["random"].scored
    assert not found["passes"].scored
    assert found["claus"].begins_with == found["random"] == found["passes"]


def test_scoring_that_decides_the_first_labels_is_not_shared_by_who_scores_otherwise(tmp_path: Path) -> None:
    begun = {"selection": {"start_strategy": "typiclust", "start_latents": "pretrained"}}
    arms = {"one": begun, "same": begun, "other": begun | {"scoring.precision": "bfloat16"}}

    assert set(share_first_rounds(configs(tmp_path, **arms), "shared")) == {"one", "same"}


def test_first_labels_that_came_in_pieces_are_copied_whole(tmp_path: Path) -> None:
    first = share_first_rounds(configs(tmp_path, one={}, same={}), str(tmp_path / "shared"))["one"]
    with RunStore(first.root) as store:
        store.open({"seed": 0}, ())
        for piece in ("round-000-000", "round-000-001", "round-001-000"):
            storage.write_bytes(f"{first.root}/labels/{piece}.parquet", piece.encode())
        for round_index, name in first.stages:
            store.stage(round_index, name).finish({"frames": 2})
    with RunStore(str(tmp_path / "run")) as store:
        store.open({"seed": 0}, ())
        copy_first_round(first, store)

    assert [file.name for file in sorted((tmp_path / "run/labels").iterdir())] == [
        "round-000-000.parquet", "round-000-001.parquet",
    ]  # fmt: skip


def test_other_seeds_share_nothing(tmp_path: Path) -> None:
    comparison = tiny_comparison(tmp_path)

    assert not share_first_rounds({str(seed): comparison.config_of("claus", seed) for seed in range(3)}, "shared")


def test_the_same_arms_find_their_first_round_again(tmp_path: Path) -> None:
    """Its name must not depend on which arms there are beside, or in which order."""
    arms = {"claus": {"selection.strategy": "claus"}, "random": {"selection.strategy": "random"}}
    one = share_first_rounds(configs(tmp_path, **arms), "shared")
    other = share_first_rounds(configs(tmp_path, third={}, **dict(reversed(arms.items()))), "shared")

    assert one["random"].name == other["random"].name


@pytest.fixture(scope="module")
def made(comparison_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Job], dict]:
    """Two CLAUS arms that share a scored first round, which is computed; and the jobs."""
    folder = tmp_path_factory.mktemp("shared")
    comparison = tiny_comparison(
        folder,
        seeds=1,
        overrides={"pool.path": str(comparison_pool), "rounds": 1, "selection.strategy": "claus"},
        arms={"one": {}, "other": {"overrides": {"budget.videos_per_round": 3}}},
        reference="one",
    )
    jobs = plan_jobs(comparison, plan_runs(comparison))
    for job in jobs[:2]:
        assert attempt(job) is None
    return folder, jobs, {job.name: job for job in jobs}


def contents(root: Path) -> dict[str, Any]:
    """The files of a first round, what was measured left out."""
    found: dict[str, Any] = {}
    for file in sorted(root.rglob("*")):
        name = str(file.relative_to(root))
        if not file.is_file() or name in ("config.yaml", "run.lock", "provenance.json"):
            continue
        if name.endswith(".json"):
            found[name] = without_measured(json.loads(file.read_bytes()))
        else:
            found[name] = file.read_bytes()
    return found


def without_measured(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_measured(each) for key, each in value.items() if key not in MEASURED}
    return [without_measured(each) for each in value] if isinstance(value, list) else value


def test_the_jobs(made: tuple) -> None:
    _, jobs, _ = made

    assert [type(job.work) for job in jobs] == [MakeFirstRound, MakeFirstRound, MakeRun, MakeRun]
    assert [job.needs for job in jobs] == [(), (jobs[0].name,), (jobs[1].name,), (jobs[1].name,)]


def test_what_is_shared_is_what_a_run_makes_itself(made: tuple, tmp_path: Path) -> None:
    _, jobs, _ = made
    shared, work = Path(jobs[1].work.first.root), jobs[3].work
    alone = work.run.config.model_copy(update={"run": str(tmp_path / "alone")})
    assert attempt(Job("alone", (), MakeRun(PlannedRun("alone", 0, alone), None, str(tmp_path), 1), None)) is None

    own, taken = contents(tmp_path / "alone"), contents(shared)

    progress = {name for name in taken if name.endswith("progress.json")}
    assert {name: own[name] for name in taken if name not in progress} == {
        name: taken[name] for name in taken if name not in progress
    }
    assert {name.split(".")[0] for name in set(own) - set(taken)} == {
        "rounds/000/known_labels", "rounds/000/select", "rounds/000/selection", "rounds/000/clusters", "end",
    }  # fmt: skip


def test_a_copy_that_was_cut_off_is_gone_on_with(made: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each single write in turn: no marker without all that it stands for, and the whole in the end."""
    _, jobs, _ = made
    first = jobs[1].work.first
    write, writes = storage.write_bytes, 0

    def written(location: str, content: bytes) -> None:
        nonlocal writes
        writes -= 1
        if writes < 0:
            raise InterruptedError
        write(location, content)

    monkeypatch.setattr(storage, "write_bytes", written)
    for last in range(1000):
        folder = tmp_path / "run"
        with RunStore(str(folder)) as store:
            writes = 1
            store.open({"seed": 0}, ())
            writes = last
            try:
                copy_first_round(first, store)
            except InterruptedError:
                for round_index, name in first.stages:
                    if store.stage(round_index, name).done:
                        assert_whole(Path(first.root), folder, round_index, name)
                writes = 1000
                copy_first_round(first, store)
            else:
                break
            finally:
                assert is_begun_alike(first, str(folder)) or writes < 0
        assert contents(folder) == contents(Path(first.root))
        shutil.rmtree(folder)
    assert last > len(first.stages)


def assert_whole(shared: Path, folder: Path, round_index: int | None, name: str) -> None:
    below = {
        "select": "start/selection.parquet",
        "label": "labels",
        "train": "rounds/000/train",
        "evaluate": "rounds/000/evaluate",
        "score": "rounds/000/scores",
    }[name]
    for file in [shared / below, *(shared / below).rglob("*")]:
        assert (folder / file.relative_to(shared)).exists()


def test_a_run_that_has_trained_by_itself_keeps_its_weights(made: tuple, tmp_path: Path) -> None:
    _, jobs, _ = made
    first = jobs[1].work.first
    with RunStore(str(tmp_path / "run")) as store:
        store.open({"seed": 0}, ())
        store.stage(0, "train").finish({"seconds": 1.0})
        copy_first_round(first, store)

    assert store.stage(None, "label").done
    assert not store.stage(0, "evaluate").done
    assert not (tmp_path / "run/rounds/000/train").exists()
