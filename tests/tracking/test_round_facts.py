"""Oracle: the numbers that `synthetic_run` wrote; MLflow's own check of names."""

import io
import string
from pathlib import Path

import pyarrow.csv as pacsv
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.round_facts import (
    Point,
    cluster_rows,
    curve_points,
    flat_settings,
    metric_name,
    round_files,
    round_points,
)
from hybridal_ray.tracking.run_reader import read_rounds


def test_curves_step_by_labelled_frames(finished_run: Path, squares: Pool) -> None:
    points = [point for record in read_rounds(str(finished_run), squares) for point in curve_points(record)]
    curve = [(point.step, point.value) for point in points if point.name == "frame_map_at_0.5"]
    assert curve == [(4, pytest.approx(0.32)), (8, pytest.approx(0.512))]
    assert Point("train_seconds", 12.5, 8) in points
    assert Point("labour_seconds", 24.0, 8) in points


def test_figures_of_validation_stand_beside_those_of_the_test_split(run: Path, squares: Pool) -> None:
    storage.write_json(str(run / "rounds/001/validate/metrics.json"), {"frame_map@0.5": 0.75, "per_class": {}})
    storage.write_json(str(run / "rounds/001/validate.done.json"), {"seconds": 3.0})
    first, second = (
        {point.name: (point.value, point.step) for point in curve_points(record)}
        for record in read_rounds(str(run), squares)
    )
    assert second["validation/frame_map_at_0.5"] == (0.75, 8)
    assert second["frame_map_at_0.5"] == (pytest.approx(0.512), 8)
    assert not [name for name in first if name.startswith("validation")]


def test_a_round_tells_classes_clusters_summaries_and_epochs(finished_run: Path, squares: Pool) -> None:
    record = read_rounds(str(finished_run), squares)[1]
    points = {(point.name, point.step): point.value for point in round_points(str(finished_run), record)}
    assert points["per_class/kick/frame_ap_at_0.5", 8] == pytest.approx(0.512)
    assert points["score/failed", 8] == 1
    # 8 training videos over 2 clusters in turn.
    assert (points["cluster_0_size", 8], points["cluster_1_quota", 8]) == (4, 2)
    assert points["training/loss", 19] == pytest.approx(1.6 * 0.8**19 + 0.2)
    assert "training/epoch" not in {name for name, _ in points}


def test_what_was_bought_to_begin_with_is_told_with_the_first_round(run: Path, squares: Pool) -> None:
    facts = {"seconds": 0.1, "agreement_class_kappa": 0.75, "fitted_seconds_per_box": 9.5}
    storage.write_json(str(run / "start/label.done.json"), facts)
    first, second = (
        {point.name: point.value for point in round_points(str(run), record)}
        for record in read_rounds(str(run), squares)
    )
    assert (first["start/agreement_class_kappa"], first["start/fitted_seconds_per_box"]) == (0.75, 9.5)
    assert not [name for name in second if name.startswith("start/")]


def test_clusters_without_picks_are_listed(finished_run: Path) -> None:
    # Round 1 has 4 labelled videos and 3 more that decode: video-04 and 06 of cluster 0, video-05 of cluster 1.
    assert cluster_rows(str(finished_run), 1) == [
        {"cluster": 0, "size": 4, "quota": 2, "picked_videos": 2, "picked_frames": 4},
        {"cluster": 1, "size": 4, "quota": 2, "picked_videos": 1, "picked_frames": 2},
    ]
    assert cluster_rows(str(finished_run), 5) == []


def test_files_of_a_whole_round_and_of_one_in_training(run: Path, squares: Pool) -> None:
    (run / "rounds/001/report").mkdir()
    (run / "rounds/001/report/latent_map.png").write_bytes(b"png")
    whole = round_files(str(run), read_rounds(str(run), squares)[1])
    assert sorted(whole) == [
        "clusters.csv", "history.json", "metrics.json", "report/latent_map.png", "selection.csv", "selection.parquet"
    ]  # fmt: skip
    assert pacsv.read_csv(io.BytesIO(whole["selection.csv"])).num_rows == 6
    for name in ("train.done.json", "evaluate.done.json", "selection.parquet"):
        (run / "rounds/000" / name).unlink()
    assert round_files(str(run), read_rounds(str(run), squares)[0]) == {}


def test_what_is_no_number_is_left_out(finished_run: Path, squares: Pool) -> None:
    record = read_rounds(str(finished_run), squares)[0]
    summary = {"seconds": 1.0, "strategy": "claus", "resumed": True, "nan": float("nan"), "videos": 3}
    changed = type(record)(**{**vars(record), "stage_summaries": {"select": summary}})
    names = {point.name for point in round_points(str(finished_run), changed)}
    assert "select/videos" in names
    assert not names & {"select/strategy", "select/resumed", "select/nan", "select/seconds"}


def test_settings_are_dotted() -> None:
    nested = {"budget": {"videos": 2, "frames": [1, 2]}, "seed": 0, "options": {}, "label": None}
    expected = {"budget.videos": "2", "budget.frames": "[1, 2]", "seed": "0", "options": "{}", "label": "None"}
    assert flat_settings(nested) == expected


def test_mlflow_takes_the_settings_whatever_their_keys() -> None:
    """A key that it refuses would keep the whole run out of it, for good."""
    keys = ("listen to (e.g., music)", "x" * 300, "y" * 233 + "/y", "/" * 300, 3)
    names = list(flat_settings({"options": {"weights": dict.fromkeys(keys, 2.0)}}))
    assert len(names) == len(keys)
    assert names[0] == "options.weights.listen to _e.g._ music_"
    for name in names:
        _validate_param(name, "2.0")


@given(st.text(alphabet=string.printable + "äß☃", min_size=1))
@example("//")
@example("a/../b")
@example("./a/.")
@example("..0")
def test_mlflow_takes_every_name(text: str) -> None:
    _validate_metric_name(metric_name(text))
    _validate_metric_name("metric_" + metric_name(text) + "_end")


def test_names_stay_readable() -> None:
    assert metric_name("frame_map@0.5:0.95") == "frame_map_at_0.5:0.95"
