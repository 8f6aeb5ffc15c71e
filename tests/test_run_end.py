"""What the criteria are told of a run. Oracle: rounds, figures and labels written down by hand."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_pool import begin_run

from hybridal_ray.errors import UserError
from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.run_end import check_stopping, decide_end, mean_uncertainty

FRAMES_A_ROUND = 200


@pytest.mark.parametrize(("per_hour", "ends"), [(1.0, True), (0.2, False)])
def test_gain_is_per_hour_that_answers_are_expected_to_have_taken(tmp_path: Path, per_hour: float, ends: bool) -> None:
    """200 empty frames of one video, of which none tells its time: 10 + 200 · 3 s, a sixth of an hour.

    The figures stay at 0.5 ± 0.05, so the gain is at most 0.05 · √2 in that time: 0.42 an hour.
    """
    gain = {"metric": "frame_map@0.5", "per_hour": per_hour}
    config, store = begin_run(tmp_path, oracle={"name": "files"}, stopping={"gain": gain})
    for index in range(2):
        rows = [
            {"video_id": f"v{index}", "frame": frame, "round": index, "source": "cvat", "boxes": []}
            for frame in range(FRAMES_A_ROUND)
        ]
        ledger.append(store.root, f"round-{index:03d}", pa.Table.from_pylist(rows, ledger.LABELS_SCHEMA))
        for name in ("train", "validate", "score"):
            store.stage(index, name).finish({"seconds": 1.0})
        metrics = {"frame_map@0.5": 0.5, "intervals": {"strict/frame_map@0.5": [0.45, 0.55]}}
        storage.write_json(f"{store.round_directory(index)}/validate/metrics.json", metrics)
        store.stage(index, "select").finish({"seconds": 1.0, "frames": 4})
    end = decide_end(config.model_copy(update={"rounds": 9}), store, 1)
    assert (end is not None and end.criterion == "gain") is ends


def scores_of(*profiles: list[float], empty_frames: int = 0) -> pa.Table:
    """A row a video, with so many frames on which nobody was found."""
    blank = {**dict.fromkeys(SCORES_SCHEMA.names), "empty_frames": empty_frames}
    rows = [{**blank, "video_id": f"v{index}", "profile": profile} for index, profile in enumerate(profiles)]
    return pa.Table.from_pylist(rows, SCORES_SCHEMA)


def test_a_chunk_that_is_there_whole_and_split_counts_once(tmp_path: Path) -> None:
    """Of two videos with 2 and 1 frames, the first is in a part of its own as well."""
    table = scores_of([1.0, 2.0], [6.0])
    table_files.write_table(str(tmp_path / "part-00000.parquet"), table)
    table_files.write_table(str(tmp_path / "part-00000-0000.parquet"), table[:1])
    assert mean_uncertainty(str(tmp_path)) == 3.0


@pytest.mark.parametrize(("empty_frames", "mean"), [(1, -1.0), (2, None)])
def test_a_detector_that_finds_nobody_has_no_uncertainty(tmp_path: Path, empty_frames: int, mean: float | None) -> None:
    """Whatever such frames are scored with."""
    table = scores_of([-1.0, -1.0], [-1.0, -1.0], empty_frames=empty_frames)
    table_files.write_table(str(tmp_path / "part-00000.parquet"), table)
    assert mean_uncertainty(str(tmp_path)) == mean


@pytest.mark.parametrize(
    ("stopping", "message"),
    [
        (
            {"target": {"metric": "ava/video_map@0.5", "at_least": 0.1}},
            r"target\.metric: no figure 'ava/video_map",
        ),
        ({"gain": {"metric": "tube_class_accuracy", "per_hour": 1.0}}, r"gain\.metric: needs an interval"),
        (
            {"target": {"metric": "frame_ap_localisation@0.5", "at_least": 0.1, "surely": True}},
            r"target\.metric: needs an interval",
        ),
    ],
)
def test_a_figure_that_is_never_measured_is_refused(tmp_path: Path, stopping: dict[str, Any], message: str) -> None:
    config, _ = begin_run(tmp_path, stopping=stopping)
    with pytest.raises(UserError, match=message):
        check_stopping(config, load_pool(config.locate(config.pool.path)))
