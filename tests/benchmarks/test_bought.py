"""Oracle: the selections that a run left, one after another."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bought import Bought
from small_pool import begin_run

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.strategies import run_strategy


def pick(video_id: str, frame: int, rank: int, **more: Any) -> dict[str, Any]:
    return {"video_id": video_id, "frame": frame, "rank": rank} | more


@pytest.fixture
def run(tmp_path: Path) -> str:
    _, store = begin_run(tmp_path)
    bought = [
        (None, [pick("v0", 3, 0), pick("v0", 1, 1)]),
        (0, [pick("v3", 4, 0, cluster=2, uncertainty=0.5)]),
        (1, [pick("v0", 9, 0)]),
    ]
    for round_index, picks in bought:
        table = pa.Table.from_pylist(picks, SELECTION_SCHEMA)
        table_files.write_table(storage.join(store.round_directory(round_index), "selection.parquet"), table)
    return store.root


def request(max_frames: int | None = None) -> SelectionRequest:
    videos = [Video(f"v{index}", f"v{index}.mp4", "train", f"v{index}", 10, 64, 48) for index in range(5)]
    return SelectionRequest(videos, {}, None, None, 5, 10, max_frames, 0.0, seed=0, memory_mib=64, clusters_to=None)


@pytest.mark.parametrize(("purchases", "count"), [(0, 2), (1, 3), (2, 4)])
def test_it_buys_what_was_bought_until_then(run: str, purchases: int, count: int) -> None:
    picks = run_strategy("bought:Bought", {"run": run, "purchases": purchases}, request()).picks

    expected = [("v0", 3), ("v0", 1), ("v3", 4), ("v0", 9)][:count]
    assert list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True)) == expected
    assert picks["rank"].to_pylist() == list(range(count))
    assert picks["uncertainty"].to_pylist() == [None, None, 0.5, None][:count]


def test_more_than_the_budget_is_refused(run: str) -> None:
    with pytest.raises(UserError, match="picked 4 frames, at most 3"):
        run_strategy("bought:Bought", {"run": run, "purchases": 2}, request(max_frames=3))


@pytest.mark.parametrize(
    ("purchases", "told"), [(-1, "purchases: found -1"), (3, r"rounds/002/selection\.parquet: not")]
)
def test_purchases_that_were_not_made_are_refused(run: str, purchases: int, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Bought(run, purchases)
