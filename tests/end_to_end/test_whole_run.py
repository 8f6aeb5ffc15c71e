"""Whole runs in one process. Oracles: an approved record, a second run, and what a setting promises."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch
from tiny_runs import labelled, outcome, picks, run_tiny, scores, selection

from hybridal_ray.detectors.checkpoint import load_detector, save_detector
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.evaluator import read_predictions
from hybridal_ray.evaluation.scenes import read_scenes
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.report import run_report
from hybridal_ray.run_store import RunStore

APPROVED = Path(__file__).parent / "approved" / "random_run.json"


def record(run: Path, lines: list[str]) -> dict[str, Any]:
    """What of a run with random selection is the same on every machine: no number that a detector made."""
    tables = {str(file.relative_to(run)): pq.read_schema(file) for file in sorted(run.rglob("*.parquet"))}
    bought = ledger.read(str(run)).to_pylist()
    return {
        "stages": [line.removesuffix(" …") for line in lines if line.endswith("…")],
        "picks": {
            "start" if index is None else f"round {index}": [f"{video}: {frame}" for video, frame in picks(run, index)]
            for index in (None, 0, 1)
        },
        "tables": {
            name: ", ".join(f"{field.name} {field.type}" for field in schema) for name, schema in tables.items()
        },
        "labels": [
            f"{row['video_id']}: {row['frame']}, round {row['round']}, {len(row['boxes'])} boxes, {row['seconds']:g} s"
            for row in bought
        ],
        "rounds": [
            f"{of_round.labelled_videos} videos, {of_round.labelled_frames} frames, {of_round.boxes} boxes, "
            f"{of_round.labour_seconds:g} s, {len(of_round.history)} epochs"
            for of_round in run_report(str(run)).rounds
        ],
    }


def test_run_is_as_approved(tiny_pool: Path, tmp_path: Path) -> None:
    run, lines = run_tiny(tmp_path, tiny_pool, tracking__figures=True, selection__strategy="random")
    received = tmp_path / "received.json"
    received.write_text(json.dumps(record(run, lines), indent=1) + "\n")
    assert json.loads(received.read_text()) == json.loads(APPROVED.read_text()), (
        f"where the difference is meant, copy {received} to {APPROVED}"
    )
    figures = {file.name for file in (run / "rounds/001/report").iterdir()}
    assert figures >= {"learning_curve.png", "contact_sheet.png", "detections.png", "training_loss.png"}


def test_random_selection_does_without_scoring(tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, selection__strategy="random")
    assert not list(run.rglob("scores"))
    assert RunStore(str(run)).stage(0, "score").summary()["skipped"] == "random needs no scores"
    assert len(picks(run, 1)) == 8


def test_begins_with_videos_that_do_not_look_alike_where_asked_to(tiny_pool: Path, tmp_path: Path) -> None:
    """The five sources of the training split are known to the pool and not to the run."""
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1, selection__start_strategy="typiclust")
    source_of = {video.video_id: video.group for video in load_pool(str(tiny_pool)).usable_videos("train")}
    assert len(set(source_of.values())) == 5
    assert {source_of[video] for video, _ in picks(run, None)} == set(source_of.values())
    assert len(picks(run, 0)) == 8  # and it goes on as any other


def test_a_start_that_goes_by_scores_that_nobody_has_yet_is_told_and_can_be_mended(
    tiny_pool: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"start_strategy: 'core_set' found no frame to buy, for nothing but latents"):
        run_tiny(tmp_path, tiny_pool, rounds=1, selection__start_strategy="core_set")
    mended = {"selection__start_strategy": "core_set", "selection__start_options": {"frames": "equidistant"}}
    run, _ = run_tiny(tmp_path / "mended", tiny_pool, rounds=1, selection__strategy="random", **mended)
    assert len(picks(run, None)) == 15


def test_second_run_decides_the_same(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool)
    assert outcome(run) == outcome(undisturbed)
    assert all(scores(run, index).equals(scores(undisturbed, index)) for index in (0, 1))


def test_runs_compared_here_tell_videos_apart(undisturbed: Path) -> None:
    """Without this, equal selections could mean that every score is the same."""
    for index in (0, 1):
        table = scores(undisturbed, index)
        assert len(table) == 20
        assert table["error"].null_count == 20
        assert len(set(table["video_score"].to_pylist())) == 20
        assert len(set(selection(undisturbed, index)["cluster"].to_pylist())) > 1


def test_budget_is_kept_and_no_frame_is_bought_twice(undisturbed: Path) -> None:
    sizes = [(len({video for video, _ in of_round}), len(of_round)) for of_round in map_picks(undisturbed)]
    assert sizes == [(5, 15), (4, 8), (4, 8)]
    assert len({pick for of_round in map_picks(undisturbed) for pick in of_round}) == 15 + 8 + 8
    assert labelled(undisturbed) == {*picks(undisturbed, None), *picks(undisturbed, 0)}


def test_other_seed_decides_otherwise(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, seed=1, rounds=1)
    assert set(picks(run, None)) != set(picks(undisturbed, None))
    assert set(picks(run, 0)) != set(picks(undisturbed, 0))


def test_more_rounds_continue_a_finished_run(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1)
    assert not (run / "labels/round-001.parquet").exists()
    _, lines = run_tiny(tmp_path, tiny_pool, rounds=2)
    assert "round 0: train is done already" in lines
    assert outcome(run) == outcome(undisturbed)


def test_finished_run_is_left_as_it_is(tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1, selection__strategy="random")
    before = {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()}
    _, lines = run_tiny(tmp_path, tiny_pool, rounds=1, selection__strategy="random")
    assert all(line.endswith("is done already") for line in lines)
    assert {file: file.stat().st_mtime_ns for file in run.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"training__learning_rate": 0.02}, "training.learning_rate was 0.005 and is now 0.02"),
        ({"seed": 3}, "seed was 0 and is now 3"),
        ({"scoring__videos_per_chunk": 4}, "scoring.videos_per_chunk was 3 and is now 4"),
    ],
)
def test_changed_configuration_is_refused(undisturbed: Path, tiny_pool: Path, settings: dict, field: str) -> None:
    before = outcome(undisturbed)
    with pytest.raises(UserError, match=field):
        run_tiny(undisturbed.parent, tiny_pool, **settings)
    assert outcome(undisturbed) == before


def test_spent_budget_ends_the_run_and_a_larger_one_continues_it(
    undisturbed: Path, tiny_pool: Path, tmp_path: Path
) -> None:
    run, lines = run_tiny(tmp_path, tiny_pool, budget__max_frames=15)
    assert lines[-1] == "round 0: the run ends here, by frames: the budget of 15 frames leaves nothing to buy"
    assert (picks(run, 0), len(labelled(run))) == ([], 15)
    assert not (run / "rounds/000/scores").exists()  # a pass over the pool for nothing
    run_tiny(tmp_path, tiny_pool, budget__max_frames=31)
    assert outcome(run) == outcome(undisturbed)


def test_full_supervision_is_a_setting(tiny_pool: Path, tmp_path: Path) -> None:
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1, budget__start_videos="all", budget__start_frames_per_video="all")
    videos = load_pool(str(tiny_pool)).usable_videos("train")
    assert labelled(run) == {(video.video_id, frame) for video in videos for frame in range(video.num_frames)}
    assert picks(run, 0) == []
    assert run_report(str(run)).rounds[0].percent_of_pool_frames == 100.0


@pytest.mark.parametrize("warm", [False, True])
def test_warm_start_begins_with_the_weights_of_the_round_before(warm: bool, tiny_pool: Path, tmp_path: Path) -> None:
    """A learning rate of next to nothing leaves the weights as they began, be it with weights put in by hand."""
    settings = {"training__warm_start": warm, "training__learning_rate": 1e-12, "selection__strategy": "random"}
    run, _ = run_tiny(tmp_path, tiny_pool, rounds=1, **settings)
    checkpoints = [str(run / f"rounds/{index}/train/checkpoint") for index in ("000", "001")]
    before = load_detector(checkpoints[0])
    tripled = {name: 3 * weight for name, weight in before.detector.state_dict().items()}
    save_detector(checkpoints[0], before.spec, tripled, centres=None)
    run_tiny(tmp_path, tiny_pool, rounds=2, **settings)
    after = load_detector(checkpoints[1]).detector.state_dict()
    assert all(torch.allclose(after[name], tripled[name], atol=1e-6) for name in after) == warm


def test_a_round_tells_where_it_fails_scene_by_scene(undisturbed: Path) -> None:
    evaluated = undisturbed / "rounds/001/evaluate"
    scenes = read_scenes(str(evaluated / "scenes"))
    predicted = {row["video_id"] for row in read_predictions(str(evaluated)).to_pylist()}
    assert predicted <= set(scenes)
    assert set(scenes.values()) <= {0, 1, 2}  # of three clusters
    told = json.loads((evaluated / "analysis.json").read_text())["breakdowns"]
    assert {part["name"] for part in told["cluster"]} == {str(cluster) for cluster in scenes.values()}


def test_kept_features_of_a_frozen_encoder_change_no_decision(tiny_pool: Path, tmp_path: Path) -> None:
    frozen = {"training__freeze_encoder": True}
    plain, _ = run_tiny(tmp_path / "plain", tiny_pool, **frozen)
    cached, _ = run_tiny(tmp_path / "cached", tiny_pool, detector__feature_cache="features", **frozen)
    assert outcome(cached) == outcome(plain)
    assert scores(cached, 1).equals(scores(plain, 1))
    (encoder,) = (tmp_path / "cached" / "features").iterdir()  # one, for both rounds begin with the same weights
    assert list(encoder.rglob("*.pt"))


def test_validation_chooses_an_epoch_and_pretrained_weights_are_read(tiny_pool: Path, tmp_path: Path) -> None:
    settings = {"rounds": 1, "selection__strategy": "random", "training__validation__source": "labelled"}
    first, _ = run_tiny(tmp_path / "first", tiny_pool, **settings)
    history = json.loads((first / "rounds/000/train/history.json").read_text())
    assert all(epoch["validation_loss"] > 0 for epoch in history)
    trained = load_detector(str(first / "rounds/000/train/checkpoint")).detector
    torch.save(trained.encoder.state_dict(), tmp_path / "encoder.pt")
    still = {**settings, "training__learning_rate": 1e-12, "detector__pretrained": tmp_path / "encoder.pt"}
    second, lines = run_tiny(tmp_path / "second", tiny_pool, **still)
    begun = load_detector(str(second / "rounds/000/train/checkpoint")).detector.encoder.state_dict()
    assert all(torch.allclose(begun[name], weight) for name, weight in trained.encoder.state_dict().items())
    assert any("encoder.pt" in line and "tensors loaded" in line for line in lines)
    with pytest.raises(UserError, match=r"^detector\.pretrained: .*nowhere\.pt is not there"):
        run_tiny(tmp_path / "third", tiny_pool, detector__pretrained="nowhere.pt")


def map_picks(run: Path) -> list[list[tuple[str, int]]]:
    return [picks(run, index) for index in (None, 0, 1)]
