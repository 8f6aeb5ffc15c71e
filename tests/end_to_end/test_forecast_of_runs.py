"""Forecasts of whole runs. Oracle: what the round then had labelled and took."""

import json
from pathlib import Path

import pytest
import yaml
from scripted_people import answer, request_of, run_with_people, unlabelled_pool
from tiny_runs import CONFIG_FILE, labelled, overrides, picks, run_tiny, tiny_config

from hybridal_ray.forecast.next_round import Forecast, forecast_next_round
from hybridal_ray.forecast.run_trial import SECONDS
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.run_store import RunStore


@pytest.fixture(autouse=True)
def _short_trials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECONDS:
        monkeypatch.setitem(SECONDS, name, 0.5)


def forecast(root: Path, pool: Path, **settings: object) -> Forecast:
    return forecast_next_round(tiny_config(root, pool, **settings), load_pool(str(pool)))


def files_of(root: Path) -> dict[Path, int]:
    return {file: file.stat().st_mtime_ns for file in root.rglob("*")}


def test_a_new_run_is_foretold_by_a_trial(hybridal, undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    code, out, err = hybridal("run", "--config", CONFIG_FILE, "--dry-run", "--json", *overrides(tmp_path, tiny_pool))
    assert code == 0, err
    told = json.loads(out)
    assert told["round"] == 0
    assert told["to_label"]["frames"] == len(picks(undisturbed, None))
    assert told["to_label"]["videos"] == len({video for video, _ in picks(undisturbed, None)})
    assert told["asks_for"]["frames"] == len(picks(undisturbed, 0))
    assert [stage["stage"] for stage in told["stages"]] == ["train", "evaluate", "score", "select"]
    assert all(stage["seconds"] > 0 for stage in told["stages"][:3])
    assert any("1 box on a frame is assumed" in note for note in told["notes"])
    assert not list(tmp_path.iterdir())


def test_a_run_under_way_is_foretold_by_its_rounds(hybridal, tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1)
    before = files_of(tmp_path)
    told = forecast(tmp_path, tiny_pool, rounds=2)
    code, out, _ = hybridal("run", "--config", CONFIG_FILE, "--dry-run", *overrides(tmp_path, tiny_pool, rounds=2))
    assert files_of(tmp_path) == before
    assert code == 0
    assert out.startswith(f"next round: 1\nto label before it: {told.to_label.frames} frames in ")
    assert "\nit will then ask for up to: 8 frames in 4 videos, " in out
    assert told.round == 1
    assert told.to_label.picked
    ended = "the run has ended, by rounds: this is what another round would cost"
    assert ended not in told.notes
    assert forecast(tmp_path, tiny_pool, rounds=1).notes[0] == ended
    markers = {name: RunStore(str(run)).stage(0, name).summary() for name in ("train", "evaluate", "score", "select")}
    assert {stage.stage for stage in told.stages} == set(markers)
    for stage in told.stages:
        assert stage.seconds is not None
        assert stage.seconds >= markers[stage.stage]["seconds"]
    labels = ledger.read(str(run))
    run_tiny(tmp_path, tiny_pool, rounds=2)
    bought = ledger.read(str(run)).slice(len(labels))
    assert told.to_label.frames == len(bought)
    boxes = sum(len(row) for row in labels["boxes"].to_pylist()) / len(labels)
    videos = len(set(bought["video_id"].to_pylist()))
    assert told.to_label.annotator_seconds == pytest.approx(10 * videos + (3 + 12 * boxes) * len(bought))
    assert forecast(tmp_path, tiny_pool, rounds=3).to_label.frames == len(picks(run, 1))


def test_answers_that_are_there_are_neither_asked_for_nor_counted_twice(
    hybridal, tiny_pool: Path, tmp_path: Path
) -> None:
    """Of 15 frames that people are asked for. Oracle: 40 frames in all leave 25, of which 12 videos of 2 take 24."""
    pool, settings = unlabelled_pool(tiny_pool, tmp_path / "bare"), {"oracle__name": "files", "budget__max_frames": 40}
    settings |= {"budget__videos_per_round": 12, "budget__max_videos": 17}
    run_with_people(tmp_path, pool, **settings)
    request, file = request_of(tmp_path / "run", None), tmp_path / "part.json"
    answers = answer(request, load_pool(str(tiny_pool)), file)
    for answered in (0, 9, 14):
        file.write_text(json.dumps({"answers": answers[:answered]}))
        hybridal("labels", "import", tmp_path / "run", file)
        told = forecast(tmp_path, pool, **settings)
        assert told.to_label.frames == 15 - answered
        assert told.to_label.videos == len({frame.video_id for frame in request.frames[answered:]})
        assert (told.asks_for.frames, told.asks_for.videos) == (24, 12)


def test_what_is_done_of_a_round_costs_nothing_more(tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1, selection__strategy="random")
    for name in ("evaluate", "score", "select"):
        (run / f"rounds/000/{name}.done.json").unlink()
    told = forecast(tmp_path, tiny_pool, rounds=1, selection__strategy="random")
    assert (told.round, told.to_label.frames, told.to_label.annotator_seconds) == (0, 0, 0.0)
    assert [stage.stage for stage in told.stages] == ["evaluate", "select"]


def test_labels_that_a_pool_brings_along_are_not_asked_for(tiny_pool: Path, tmp_path: Path) -> None:
    told = forecast(tmp_path, tiny_pool, oracle__start_from_pool=True)
    assert (told.to_label.frames, told.to_label.annotator_seconds, told.asks_for.frames) == (0, 0.0, 8)
    assert not any("is assumed" in note for note in told.notes)


def test_a_round_that_can_buy_nothing_is_not_scored(tiny_pool: Path, tmp_path: Path) -> None:
    """The 15 frames of the start are all that the budget has."""
    told = forecast(tmp_path, tiny_pool, budget__max_frames=15)
    assert (told.to_label.frames, told.asks_for.frames) == (15, 0)
    assert [stage.stage for stage in told.stages] == ["train", "evaluate", "select"]


@pytest.mark.slow
def test_times_foretold_are_those_that_come(tiny_pool: Path, tmp_path: Path) -> None:
    """By a trial before anything is run, and by the first round afterwards; within a factor, for machines are busy."""
    longer = yaml.safe_load("{rounds: 2, training__epochs: 4, training__steps_per_epoch: 25}")
    for rounds in (1, 2):
        told = forecast(tmp_path, tiny_pool, **(longer | {"rounds": rounds}))
        run, _ = run_tiny(tmp_path, tiny_pool, **(longer | {"rounds": rounds}))
        assert len(labelled(run)) == 15 + 8 * (rounds - 1)
        for stage in told.stages:
            if stage.seconds is not None and stage.stage != "select":
                took = RunStore(str(run)).stage(rounds - 1, stage.stage).summary()["seconds"]
                assert took / 4 < stage.seconds < took * 4, stage
