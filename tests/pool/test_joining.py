"""Oracles: two pools written out by hand, and the rows that one of both has to have."""

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool.joining import join_pools
from hybridal_ray.pool.ledger import labels_of_tubes
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, load_pool

CLASSES = ("wave", "kick", "bow")
BOX = {"tube_id": "0", "x1": 1.0, "y1": 2.0, "x2": 10.5, "y2": 20.0, "mask": None}


def pool_of(
    root: str, ids: str, split: str, classes: tuple[str, ...], acting: str, looked_at: list[tuple[str, int]] | None
) -> Pool:
    """Videos of three frames; on the first of each somebody does what `acting` says."""
    size = {"num_frames": 3, "fps": 25.0, "width": 64, "height": 48, "status": "ok", "reason": None}
    videos = [{"video_id": name, "uri": f"{name}.mp4", "split": split, "group": name, **size} for name in ids]
    tubes = [{"video_id": name, "frame": 0, "class_id": classes.index(acting), **BOX} for name in ids] if acting else []
    frames = None
    if looked_at is not None:
        rows = [{"video_id": name, "frame": frame} for name, frame in looked_at]
        frames = pa.Table.from_pylist(rows, LABELLED_FRAMES_SCHEMA)
    tables = pa.Table.from_pylist(videos, VIDEOS_SCHEMA), pa.Table.from_pylist(tubes, TUBES_SCHEMA)
    return Pool(root, "pool", classes, *tables, frames)


BARE = pool_of("/bare", "ab", "train", ("wave", "kick"), "", [])
TESTED = pool_of("s3://bucket/tested", "cd", "test", ("kick", "bow"), "bow", None)


def test_videos_labels_and_splits_of_both(tmp_path: Path) -> None:
    join_pools([BARE, TESTED], str(tmp_path / "both"), "both")
    both = load_pool(str(tmp_path / "both"))
    assert (both.name, both.classes) == ("both", ("wave", "kick", "bow"))
    told = {row["video_id"]: (row["split"], row["uri"]) for row in both.videos.to_pylist()}
    assert told == {
        "a": ("train", "/bare/a.mp4"),
        "b": ("train", "/bare/b.mp4"),
        "c": ("test", "s3://bucket/tested/c.mp4"),
        "d": ("test", "s3://bucket/tested/d.mp4"),
    }
    assert [(row["video_id"], both.classes[row["class_id"]]) for row in both.tubes.to_pylist()] == [
        ("c", "bow"),
        ("d", "bow"),
    ]
    # Of the pool that does not tell, those with a box; none of the one that nobody looked at.
    assert both.labelled_frames_of("abcd") == {"a": [], "b": [], "c": [0], "d": [0]}


@pytest.mark.parametrize("looked_at", [[], [("a", 0), ("b", 2)], None])
def test_no_label_is_lost_or_made_up(tmp_path: Path, looked_at: list[tuple[str, int]] | None) -> None:
    """Oracle: the labels of each pool by itself, in which an actor does two things on one frame."""
    first = pool_of("/first", "ab", "train", ("wave", "kick"), "wave" if looked_at != [] else "", looked_at)
    twice = TESTED.tubes.set_column(2, TUBES_SCHEMA.field(2), pa.array([0, 0], pa.int32()))
    second = replace(TESTED, tubes=pa.concat_tables([TESTED.tubes, twice]))
    joined = join_pools([first, second], str(tmp_path / "both"), "both")

    def labels(pool: Pool) -> list[tuple]:
        made = labels_of_tubes(pool.tubes_of("abcd"), pool.empty_frames_of("abcd")).to_pylist()
        return [
            (row["video_id"], row["frame"], sorted(pool.classes[box["class_id"]] for box in row["boxes"]))
            for row in made
        ]

    assert labels(joined) == labels(first) + labels(second)


def test_where_no_pool_tells_what_was_looked_at_both_do_not(tmp_path: Path) -> None:
    other = pool_of("/other", "ef", "train", ("bow",), "bow", None)
    assert join_pools([TESTED, other], str(tmp_path), "both").looked_at is None


@given(st.lists(st.permutations(CLASSES).map(tuple), min_size=2, max_size=4))
def test_an_action_keeps_its_name(orders: list[tuple[str, ...]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hybridal_ray.pool.joining.save_pool", lambda pool: None)
        patch.setattr("hybridal_ray.pool.joining.refuse_to_replace", lambda *_, **__: None)
        pools = [pool_of("/p", "xyzw"[n], "train", order, CLASSES[n % 3], None) for n, order in enumerate(orders)]
        joined = join_pools(pools, "/joined", "joined")
    expected = {"xyzw"[n]: CLASSES[n % 3] for n in range(len(orders))}
    assert {row["video_id"]: joined.classes[row["class_id"]] for row in joined.tubes.to_pylist()} == expected


def test_what_cannot_be_joined_is_named(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(UserError, match="found 1 pool to join, expected two or more"):
        join_pools([BARE], out, "out")
    with pytest.raises(UserError, match="/again: holds a video 'a', as does /bare; expected each id in one pool"):
        join_pools([BARE, replace(BARE, root="/again")], out, "out")
    leaking = pool_of("/leak", "e", "test", ("wave",), "wave", None)
    leaking = replace(leaking, videos=leaking.videos.set_column(3, "group", pa.array(["a"])))
    with pytest.raises(UserError, match="group 'a' is in several splits"):
        join_pools([BARE, leaking], out, "out")
    assert not (tmp_path / "out").exists()
