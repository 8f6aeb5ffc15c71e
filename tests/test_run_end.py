"""What the criteria are told of a run. Oracle: rounds, figures and labels written down by hand."""

from pathlib import Path

import pyarrow as pa
import pytest
from small_pool import begin_run

from hybridal_ray.pool import ledger, storage, table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.run_end import decide_end, mean_uncertainty

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


def test_a_chunk_that_is_there_whole_and_split_counts_once(tmp_path: Path) -> None:
    """Of two videos with 2 and 1 frames, the first is in a part of its own as well."""
    rows = [{"video_id": f"v{index}", "profile": profile} for index, profile in enumerate(([1.0, 2.0], [6.0]))]
    empty = dict.fromkeys(SCORES_SCHEMA.names)
    table = pa.Table.from_pylist([{**empty, **row} for row in rows], SCORES_SCHEMA)
    table_files.write_table(str(tmp_path / "part-00000.parquet"), table)
    table_files.write_table(str(tmp_path / "part-00000-0000.parquet"), table[:1])
    assert mean_uncertainty(str(tmp_path)) == 3.0
