"""Runs that end before their last round. Oracles: figures read from the run directory, and a run that was not ended."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from killed_jobs import kill_when, start_job
from tiny_runs import labelled, outcome, picks, run_tiny, scores, tiny_config

from hybridal_ray.errors import UserError
from hybridal_ray.forecast.next_round import forecast_next_round
from hybridal_ray.oracles.cost import labour
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import Pool, load_pool, save_pool
from hybridal_ray.purchases import Purchases
from hybridal_ray.report import run_report


@pytest.fixture(scope="module")
def validated_pool(tiny_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny pool with its videos of one training source as split val."""
    pool, root = load_pool(str(tiny_pool)), tmp_path_factory.mktemp("validated") / "pool"
    source = min(video.group for video in pool.usable_videos("train"))
    held_out = pc.equal(pool.videos["group"], source)
    split = pc.if_else(held_out, "val", pool.videos["split"]).cast(pa.string())
    uris = pa.array([str(tiny_pool / uri) for uri in pool.videos["uri"].to_pylist()])
    videos = pool.videos
    for name, column in (("split", split), ("uri", uris)):
        place = videos.schema.get_field_index(name)
        videos = videos.set_column(place, videos.schema.field(name), column)
    save_pool(Pool(str(root), pool.name, pool.classes, videos, pool.tubes))
    return root


def end_of(run: Path) -> tuple[str, int] | None:
    end = json.loads((run / "end.json").read_text())
    return None if end is None else (end["criterion"], end["round"])


def picked_in(labels: pa.Table) -> set[tuple[str, int]]:
    return set(zip(labels["video_id"].to_pylist(), labels["frame"].to_pylist(), strict=True))


def figure_of(run: Path, round_index: int, stage: str, name: str = "frame_ap_localisation@0.5") -> float:
    return json.loads((run / f"rounds/{round_index:03d}/{stage}/metrics.json").read_text())[name]


@pytest.mark.parametrize(
    ("budget", "bought"),
    [
        ({"budget__max_frames": 20}, {"frames": 20}),
        ({"budget__max_videos": 7}, {"videos": 7}),
        ({"budget__max_seconds": 700.0}, {}),
    ],
)
def test_a_budget_bounds_the_last_purchase_and_ends_the_run(
    budget: dict[str, float], bought: dict[str, int], tiny_pool: Path, tmp_path: Path
) -> None:
    run, lines = run_tiny(tmp_path, tiny_pool, rounds=9, selection__strategy="random", **budget)
    unit = next(iter(budget)).removeprefix("budget__max_")
    report = run_report(str(run))
    assert end_of(run) == (unit, report.rounds[-1].index)
    assert f"the run ends here, by {unit}" in lines[-1]
    frames = labelled(run)
    spent = {"frames": len(frames), "videos": len({video for video, _ in frames})}
    assert {name: spent[name] for name in bought} == bought
    if unit == "seconds":  # what was bought last is bounded by what it was expected to cost, from the boxes before it
        labels = ledger.read(str(run))
        earlier = labels.filter(pc.field("round") < pc.max(labels["round"]))
        boxes = labour(earlier).boxes / len(earlier)
        last = [video for video, _ in frames - picked_in(earlier)]
        expected = labour(earlier).seconds + 10 * len(set(last)) + (3 + 12 * boxes) * len(last)
        assert 700 - (10 + 3 + 12 * boxes) < expected <= 700


def test_target_on_validation_ends_the_run_and_a_higher_one_continues_it(validated_pool: Path, tmp_path: Path) -> None:
    metric, common = "capsnet/frame_map@0.5:0.95", {"selection__strategy": "random"}
    never = {"stopping__target": f"{{metric: '{metric}', at_least: 1.0}}"}
    run, _ = run_tiny(tmp_path / "whole", validated_pool, **common, **never)
    assert end_of(run) == ("rounds", 1)
    reached = [figure_of(run, index, "validate", metric) for index in range(2)]
    assert reached != [figure_of(run, index, "evaluate", metric) for index in range(2)]  # the test split's are others
    assert reached[0] > 0
    target = {"stopping__target": f"{{metric: '{metric}', at_least: {reached[0]}}}"}
    stopped, _ = run_tiny(tmp_path / "early", validated_pool, **common, **target)
    assert end_of(stopped) == ("target", 0)
    assert run_report(str(stopped)).as_json()["end"]["criterion"] == "target"
    assert not (stopped / "rounds/000/label.done.json").exists()
    run_tiny(tmp_path / "early", validated_pool, **common, **never)
    assert end_of(stopped) == ("rounds", 1)
    assert outcome(stopped) == outcome(run)


def test_evaluation_on_val_is_not_done_twice(validated_pool: Path, tmp_path: Path) -> None:
    target = {"stopping__target": "{metric: 'act/frame_map@0.5', at_least: 1.0}", "evaluation__split": "val"}
    run, _ = run_tiny(tmp_path, validated_pool, rounds=1, selection__strategy="random", **target)
    assert not (run / "rounds/000/validate").exists()
    assert figure_of(run, 0, "evaluate", "videos") == len(load_pool(str(validated_pool)).usable_videos("val"))


def test_flat_uncertainty_ends_the_run(undisturbed: Path, tiny_pool: Path, tmp_path: Path) -> None:
    """Against the mean of all profiles, computed here from the tables of another run's scores."""
    first, second = (pc.mean(pc.list_flatten(scores(undisturbed, index)["profile"])).as_py() for index in (0, 1))
    change = abs(second - first) / abs((first + second) / 2)
    for factor, end in ((1.001, "flat_uncertainty"), (0.999, "rounds")):
        flat = f"{{rounds: 1, change: {change * factor}}}"
        run, _ = run_tiny(tmp_path, tiny_pool, stopping__flat_uncertainty=flat)
        assert end_of(run) == (end, 1)


def test_gain_is_taken_against_the_labour_of_the_ledger(validated_pool: Path, tmp_path: Path) -> None:
    for per_hour, end in ((1e9, "gain"), (1e-9, "rounds")):
        gain = f"{{per_hour: {per_hour}, metric: 'capsnet/frame_map@0.5:0.95'}}"
        run, _ = run_tiny(tmp_path, validated_pool, stopping__gain=gain, selection__strategy="random")
        assert end_of(run) == (end, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"stopping__target__at_least": 0.5}, r"stopping\.target: .*split 'val', of which .* has none"),
        ({"stopping__gain": "{per_hour: 1, metric: frame_mpa@0.5}"}, r"stopping\.gain\.metric: no figure 'frame_mpa"),
        (
            {"stopping__flat_uncertainty": "{}", "selection__strategy": "random"},
            r"stopping\.flat_uncertainty: selection\.strategy random does without scoring",
        ),
    ],
)
def test_a_criterion_that_can_never_hold_is_refused(
    settings: dict[str, Any], message: str, tiny_pool: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        run_tiny(tmp_path, tiny_pool, **settings)
    assert not (tmp_path / "run").exists()


def test_intervals_that_a_criterion_needs_are_asked_for(validated_pool: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"stopping\.gain: needs intervals, expected evaluation\.resamples above 0"):
        run_tiny(tmp_path, validated_pool, stopping__gain="{per_hour: 1}", evaluation__resamples=0)


def test_job_killed_at_the_decision_comes_to_it_again(tiny_pool: Path, tmp_path: Path) -> None:
    """Killed behind the selection of its last round, with the end not written down."""
    settings = {"budget__max_frames": 20, "rounds": 9, "selection__strategy": "random"}
    straight, _ = run_tiny(tmp_path / "straight", tiny_pool, **settings)
    kill_when(start_job(tmp_path / "killed", tiny_pool, **settings), "round 1: select took")
    (tmp_path / "killed/run/end.json").unlink(missing_ok=True)  # as if it had died a moment earlier
    killed, _ = run_tiny(tmp_path / "killed", tiny_pool, **settings)
    assert end_of(killed) == end_of(straight) == ("frames", 1)
    assert outcome(killed) == outcome(straight)


def test_a_budget_lowered_between_picking_and_buying_holds(
    tiny_pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """15 frames are labelled and 8 more picked when the job is cut off. Oracle: what each budget leaves of the 8."""
    settings = {"selection__strategy": "random"}

    def cut_off(purchases: Purchases, round_index: int | None) -> None:
        if round_index is not None:
            raise KeyboardInterrupt
        label(purchases, round_index)

    label = Purchases.label
    with monkeypatch.context() as patch:
        patch.setattr(Purchases, "label", cut_off)
        with pytest.raises(KeyboardInterrupt):
            run_tiny(tmp_path, tiny_pool, **settings)
    run = tmp_path / "run"
    picked = picks(run, 0)
    assert (len(labelled(run)), len(picked)) == (15, 8)
    pool = load_pool(str(tiny_pool))
    told = forecast_next_round(tiny_config(tmp_path, tiny_pool, budget__max_frames=18, **settings), pool)
    assert told.to_label.frames == 3
    run_tiny(tmp_path, tiny_pool, budget__max_frames=18, rounds=3, **settings)
    assert labelled(run) >= set(picked[:3])
    assert (len(labelled(run)), picks(run, 0)) == (18, picked[:3])
    assert end_of(run) == ("frames", 1)
