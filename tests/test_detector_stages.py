"""What a round says of its evaluation. Oracle: a pool whose videos are counted by hand; no detector is run."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from small_pool import begin_run

from hybridal_ray import detector_stages
from hybridal_ray.detector_stages import DetectorStages
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, Pool, load_pool
from hybridal_ray.run_stages import RunStages


def said_of(root: Path, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is said of an evaluation where the training videos 0 to 3 are changed to this."""
    config, store = begin_run(root)
    pool = load_pool(str(root / "pool"))
    rows = [row if row["video_id"] == "v4" else row | changes for row in pool.videos.to_pylist()]
    videos = pa.Table.from_pylist(rows, VIDEOS_SCHEMA)
    said: list[str] = []
    monkeypatch.setattr(detector_stages, "evaluate_checkpoint", lambda *_, **__: {"frame_map@0.5": 0.5})
    changed = Pool(pool.root, pool.name, pool.classes, videos, pool.tubes)
    DetectorStages(RunStages(config, changed, store, said.append)).evaluate(0)
    return said


def test_a_round_says_how_many_videos_of_its_split_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the four that move to the test split one is missing and one unreadable."""
    said = said_of(tmp_path, {"split": "test"}, monkeypatch)
    expected = "round 0: evaluate: evaluated 3 videos; 2 of the split test are missing or unreadable and left out"
    assert said[1] == expected


def test_where_none_is_left_out_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [line for line in said_of(tmp_path, {"split": "train"}, monkeypatch) if "left out" in line]
