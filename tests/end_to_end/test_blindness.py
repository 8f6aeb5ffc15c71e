"""Selection is blind: the truth of a frame that nobody has labelled cannot move a pick.

Oracle: the undisturbed run. The same run on a pool whose hidden truth is poisoned must decide the same.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tiny_runs import labelled, outcome, picks, run_tiny, scores

from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, load_pool, save_pool

Frame = tuple[str, int]


def poison(pool: Pool, root: Path, hidden: Callable[[Frame], bool]) -> Path:
    """The same videos with another truth on hidden frames: classes swapped, boxes shifted, actors gone or invented.

    Args:
        pool: Left as it is.
        root: Where the poisoned pool goes.
        hidden: Whether the truth of a frame is to be poisoned.
    """
    rows = []
    for number, row in enumerate(pool.tubes.to_pylist()):
        if not hidden((row["video_id"], row["frame"])):
            rows.append(row)
        elif number % 3:  # every third box is deleted
            rows.append(_other(row, len(pool.classes), shift=40.0))
            rows.append(_other(row, len(pool.classes), shift=-25.0) | {"tube_id": row["tube_id"] + "-invented"})
    uris = {video.video_id: video.uri for split in ("train", "test") for video in pool.usable_videos(split)}
    videos = [{**row, "uri": str(Path(uris[row["video_id"]]).absolute())} for row in pool.videos.to_pylist()]
    poisoned = Pool(
        root=str(root),
        name=pool.name,
        classes=pool.classes,
        videos=pa.Table.from_pylist(videos, VIDEOS_SCHEMA),
        tubes=pa.Table.from_pylist(rows, TUBES_SCHEMA),
    )
    assert poisoned.identity() != pool.identity()
    save_pool(poisoned)
    return root


def _other(row: dict[str, Any], classes: int, shift: float) -> dict[str, Any]:
    moved = {name: row[name] + shift for name in ("x1", "y1", "x2", "y2")}
    return {**row, **moved, "class_id": (row["class_id"] + 1) % classes}


@pytest.fixture(scope="module")
def pool(tiny_pool: Path) -> Pool:
    return load_pool(str(tiny_pool))


@pytest.fixture(scope="module")
def train_ids(pool: Pool) -> Collection[str]:
    return {video.video_id for video in pool.usable_videos("train")}


def test_unlabelled_truth_does_not_move_the_next_picks(
    pool: Pool, train_ids: Collection[str], undisturbed: Path, tmp_path: Path
) -> None:
    """All is poisoned but what was bought to begin with: also the frames that round 0 is about to pick."""
    bought = set(picks(undisturbed, None))
    root = poison(pool, tmp_path / "pool", lambda frame: frame[0] in train_ids and frame not in bought)
    run, _ = run_tiny(tmp_path, root, rounds=1)
    assert picks(run, 0) == picks(undisturbed, 0)
    assert scores(run, 0).equals(scores(undisturbed, 0))


def test_truth_that_is_never_bought_does_not_move_any_round(
    pool: Pool, train_ids: Collection[str], undisturbed: Path, tmp_path: Path
) -> None:
    bought = labelled(undisturbed)
    root = poison(pool, tmp_path / "pool", lambda frame: frame[0] in train_ids and frame not in bought)
    run, _ = run_tiny(tmp_path, root)
    assert outcome(run) == outcome(undisturbed)


def test_truth_of_the_test_split_does_not_move_any_round(
    pool: Pool, train_ids: Collection[str], undisturbed: Path, tmp_path: Path
) -> None:
    root = poison(pool, tmp_path / "pool", lambda frame: frame[0] not in train_ids)
    run, _ = run_tiny(tmp_path, root)
    assert outcome(run) == outcome(undisturbed)
    metrics = [(of / "rounds/000/evaluate/metrics.json").read_bytes() for of in (run, undisturbed)]
    assert metrics[0] != metrics[1]  # evaluation, and it alone, has seen the poison


def test_poison_on_labelled_frames_is_seen(pool: Pool, undisturbed: Path, tmp_path: Path) -> None:
    """The tests above could fail: what is bought does move the scores."""
    bought = set(picks(undisturbed, None))
    root = poison(pool, tmp_path / "pool", lambda frame: frame in bought)
    run, _ = run_tiny(tmp_path, root, rounds=1)
    assert not scores(run, 0).equals(scores(undisturbed, 0))
