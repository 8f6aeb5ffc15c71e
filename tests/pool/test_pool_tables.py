"""Oracles: the rows written; shuffled and moved copies of the same pool."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage, table_files
from hybridal_ray.pool.tables import (
    LABELLED_FRAMES_SCHEMA,
    TUBES_SCHEMA,
    VIDEOS_SCHEMA,
    Pool,
    load_pool,
    load_tubes,
    save_pool,
)


def video(video_id: str, **changes: Any) -> dict[str, Any]:
    row = {
        "video_id": video_id,
        "uri": f"videos/{video_id}.mp4",
        "split": "train",
        "group": video_id,
        "num_frames": 8,
        "fps": 25.0,
        "width": 64,
        "height": 48,
        "status": "ok",
        "reason": None,
    }
    return row | changes


def box(video_id: str, frame: int, **changes: Any) -> dict[str, Any]:
    row = {"video_id": video_id, "tube_id": "0", "class_id": 0, "frame": frame, "mask": None}
    return row | {"x1": 1.0, "y1": 2.0, "x2": 10.5, "y2": 20.0} | changes


def small_pool(root: str = "/nowhere") -> Pool:
    videos = [
        video("b"),
        video("a", uri="/elsewhere/a.mp4"),
        video("c", split="test", uri="s3://bucket/c.mp4"),
        video("gone", status="missing", num_frames=0, reason="no such file"),
    ]
    tubes = [
        box("a", 0),
        box("a", 0, class_id=1),  # one actor, two actions
        box("a", 1, mask="0d0"),
        box("c", 7, tube_id="1"),
        box("gone", 3),
    ]
    return Pool(
        root,
        "small",
        ("run", "jump"),
        pa.Table.from_pylist(videos, VIDEOS_SCHEMA),
        pa.Table.from_pylist(tubes, TUBES_SCHEMA),
    )


def test_a_saved_pool_is_loaded_as_it_was(tmp_path: Path) -> None:
    pool = small_pool(str(tmp_path))
    save_pool(pool)
    loaded = load_pool(str(tmp_path))
    assert loaded == pool
    assert loaded.identity() == pool.identity()


def test_a_pool_without_tubes_loads(tmp_path: Path) -> None:
    save_pool(replace(small_pool(str(tmp_path)), tubes=TUBES_SCHEMA.empty_table()))
    assert len(load_pool(str(tmp_path)).tubes) == 0


def test_usable_videos_are_those_that_decode_in_order_of_id_with_absolute_uris() -> None:
    pool = small_pool("/pool")
    train = pool.usable_videos("train")
    assert [(video.video_id, video.uri) for video in train] == [
        ("a", "/elsewhere/a.mp4"),
        ("b", "/pool/videos/b.mp4"),
    ]
    assert [video.uri for video in pool.usable_videos("test")] == ["s3://bucket/c.mp4"]
    assert pool.usable_videos("val") == []


def test_what_a_split_leaves_out_and_what_is_usable_are_all_of_it() -> None:
    pool = small_pool()
    splits = pool.videos["split"].to_pylist()
    for split in ("train", "val", "test"):
        assert pool.left_out(split) == splits.count(split) - len(pool.usable_videos(split))
    assert pool.left_out("train") > 0


def test_tubes_of_keeps_the_rows_of_the_videos_asked_for() -> None:
    pool = small_pool()
    assert pool.tubes_of(["c", "b"]).to_pylist() == [box("c", 7, tube_id="1")]
    assert len(pool.tubes_of([])) == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(0, 4))
def test_identity_is_of_the_content_not_of_its_order_chunks_or_place(seed: int, cut: int) -> None:
    pool = small_pool()
    generator = np.random.default_rng(seed)

    def shuffled(table: pa.Table) -> pa.Table:
        rows = table.take(generator.permutation(len(table)))
        return pa.concat_tables([rows.slice(0, cut), rows.slice(cut)])

    uris = pa.array([f"/mnt/{number}.mp4" for number in range(len(pool.videos))])
    moved = pool.videos.set_column(1, VIDEOS_SCHEMA.field("uri"), uris)
    other = Pool("s3://bucket/pool", pool.name, pool.classes, shuffled(moved), shuffled(pool.tubes))
    assert other.identity() == pool.identity()


@pytest.mark.parametrize("column", [name for name in VIDEOS_SCHEMA.names if name not in ("uri", "reason")])
def test_identity_tells_every_column_of_videos(column: str) -> None:
    pool = small_pool()
    rows = pool.videos.to_pylist()
    rows[0][column] = rows[0][column] + ("x" if isinstance(rows[0][column], str) else 1)
    changed = replace(pool, videos=pa.Table.from_pylist(rows, VIDEOS_SCHEMA))
    assert changed.identity() != pool.identity()


@pytest.mark.parametrize("column", TUBES_SCHEMA.names)
def test_identity_tells_every_column_of_tubes(column: str) -> None:
    pool = small_pool()
    rows = pool.tubes.to_pylist()
    rows[2][column] = rows[2][column] + ("x" if isinstance(rows[2][column], str) else 1)
    changed = replace(pool, tubes=pa.Table.from_pylist(rows, TUBES_SCHEMA))
    assert changed.identity() != pool.identity()


def test_identity_tells_name_and_classes() -> None:
    pool = small_pool()
    assert replace(pool, name="other").identity() != pool.identity()
    assert replace(pool, classes=("jump", "run")).identity() != pool.identity()


def test_a_missing_pool_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pool\.json: no pool is there; make one with `hybridal"):
        load_pool(str(tmp_path))


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"format_version": 2}, "format_version is 2, expected 1"),
        ({"name": None}, "name is None"),
        ({"classes": "run"}, "classes is 'run'"),
        ({"classes": ["run", 3]}, "classes is "),
        ({"classes": ["run", "run"]}, "classes holds duplicates"),
    ],
)
def test_a_malformed_description_names_file_and_field(tmp_path: Path, changes: dict, field: str) -> None:
    save_pool(small_pool(str(tmp_path)))
    location = f"{tmp_path}/pool.json"
    storage.write_json(location, storage.read_json(location) | changes)
    with pytest.raises(UserError, match=rf"pool\.json: {field}"):
        load_pool(str(tmp_path))


def test_a_description_that_is_no_object_is_named(tmp_path: Path) -> None:
    save_pool(small_pool(str(tmp_path)))
    storage.write_json(f"{tmp_path}/pool.json", [1])
    with pytest.raises(UserError, match=r"pool\.json: found a list"):
        load_pool(str(tmp_path))


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (video("a"), "video_id holds duplicates"),
        (video("new", split="training"), "split is 'training'"),
        (video("new", status="broken"), "status is 'broken'"),
        (video("new", num_frames=0), "num_frames of new"),
        (video("new", split="test", group="a"), "group 'a' is in several splits"),
    ],
)
def test_a_wrong_video_names_file_and_field(tmp_path: Path, row: dict, field: str) -> None:
    pool = small_pool(str(tmp_path))
    videos = pa.concat_tables([pool.videos, pa.Table.from_pylist([row], VIDEOS_SCHEMA)])
    save_pool(replace(pool, videos=videos))
    with pytest.raises(UserError, match=rf"videos\.parquet: {field}"):
        load_pool(str(tmp_path))


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (box("a", 2, class_id=2), "class_id is 2 in a row of 'a', expected one of 0…1"),
        (box("a", 2, class_id=-1), "class_id is -1"),
        (box("a", 2, x2=1.0), "x2 is 1.0"),
        (box("a", 2, y2=float("inf")), "y2 is inf"),
        (box("a", 2, y1=float("nan")), "y2 is 20.0"),
        (box("stranger", 2), "video_id is 'stranger'"),
        (box("a", 8), "frame is 8 in a row of 'a'"),
        (box("a", -1), "frame is -1"),
        (box("a", 1), "frame is 1 in a row of 'a', expected one box a frame"),
    ],
)
def test_a_wrong_box_names_file_and_field(tmp_path: Path, row: dict, field: str) -> None:
    pool = small_pool(str(tmp_path))
    tubes = pa.concat_tables([pool.tubes, pa.Table.from_pylist([row], TUBES_SCHEMA)])
    save_pool(replace(pool, tubes=tubes))
    with pytest.raises(UserError, match=rf"tubes\.parquet: {field}"):
        load_pool(str(tmp_path))


@pytest.mark.parametrize("name", ["videos", "tubes"])
def test_a_missing_column_is_named(tmp_path: Path, name: str) -> None:
    save_pool(small_pool(str(tmp_path)))
    location = f"{tmp_path}/{name}.parquet"
    table_files.write_table(location, table_files.read_table(location).drop_columns(["video_id"]))
    with pytest.raises(UserError, match=rf"{name}\.parquet: column 'video_id' is missing"):
        load_pool(str(tmp_path))


def test_some_columns_of_the_tubes_are_read_alone(tmp_path: Path) -> None:
    pool = small_pool(str(tmp_path))
    save_pool(pool)
    assert load_tubes(pool.root).cast(TUBES_SCHEMA) == pool.tubes
    narrow = load_tubes(pool.root, ["frame", "video_id"])
    assert narrow.column_names == ["frame", "video_id"]
    assert narrow["video_id"].to_pylist() == pool.tubes["video_id"].to_pylist()


def looked_at(*rows: tuple[str, int]) -> pa.Table:
    return pa.Table.from_pylist([{"video_id": v, "frame": f} for v, f in rows], LABELLED_FRAMES_SCHEMA)


def test_frames_that_were_looked_at_are_kept(tmp_path: Path) -> None:
    frames = looked_at(("a", 0), ("a", 1), ("a", 5), ("c", 3))
    pool = replace(small_pool(str(tmp_path)), looked_at=frames)
    save_pool(pool)
    assert load_pool(pool.root).looked_at == frames
    assert pool.empty_frames_of(["a", "b"]) == looked_at(("a", 5))
    assert pool.labelled_frames_of(["a", "b"]) == {"a": [0, 1, 5], "b": []}
    assert small_pool().labelled_frames_of(["a"]) is None
    assert pool.identity() != small_pool().identity()
    assert small_pool().empty_frames_of(["a"]).num_rows == 0
    save_pool(small_pool(str(tmp_path)))  # says no longer which frames were looked at
    assert load_pool(str(tmp_path)).looked_at is None


@pytest.mark.parametrize(("row", "field"), [(("a", 8), "frame is 8"), (("x", 0), "video_id is 'x'"), (("a", -1), "-1")])
def test_a_wrong_labelled_frame_names_file_and_field(tmp_path: Path, row: tuple[str, int], field: str) -> None:
    save_pool(replace(small_pool(str(tmp_path)), looked_at=looked_at(row)))
    with pytest.raises(UserError, match=f"labelled_frames.parquet: .*{field}"):
        load_pool(str(tmp_path))


@pytest.mark.slow
def test_a_pool_of_100_000_videos_loads_splits_and_filters_in_seconds(tmp_path: Path) -> None:
    """Tubes as those of UCF101-24: 1.4 a video, 125 boxes each. Measured: 6 s, with 18 million boxes."""
    num_videos, generator = 100_000, np.random.default_rng(0)
    ids = pa.array([f"part-{number // 1000}/video_{number:06d}" for number in range(num_videos)])
    lengths = generator.geometric(1 / 125, size=round(1.4 * num_videos)).clip(1, 1000)
    owners = np.sort(generator.integers(0, num_videos, size=len(lengths)))
    rows, starts = int(lengths.sum()), np.repeat(np.cumsum(lengths) - lengths, lengths)
    corner = pa.array(generator.random(rows, dtype=np.float32) * 100)
    tubes = [
        ids.take(pa.array(np.repeat(owners, lengths))),
        pa.array([str(number) for number in range(len(lengths))]).take(
            pa.array(np.repeat(np.arange(len(lengths)), lengths))
        ),
        pa.array(np.repeat(owners % 24, lengths), pa.int32()),
        pa.array(np.arange(rows) - starts, pa.int32()),
        corner, corner, pc.add(corner, np.float32(50)), pc.add(corner, np.float32(60)),
        pa.nulls(rows, pa.string()),
    ]  # fmt: skip
    whole = [video(str(name)) for name in ids]
    splits = pa.array(np.where(generator.random(num_videos) < 0.3, "test", "train"))
    videos = pa.Table.from_pylist(whole, VIDEOS_SCHEMA).set_column(2, VIDEOS_SCHEMA.field("split"), splits)
    videos = videos.set_column(4, VIDEOS_SCHEMA.field("num_frames"), pa.array([1000] * num_videos, pa.int32()))
    classes = tuple(str(number) for number in range(24))
    save_pool(Pool(str(tmp_path), "large", classes, videos, pa.Table.from_arrays(tubes, schema=TUBES_SCHEMA)))
    del tubes, whole

    started = time.monotonic()
    pool = load_pool(str(tmp_path))
    train = pool.usable_videos("train")
    of_train = pool.tubes_of([one.video_id for one in train])
    assert time.monotonic() - started < 60  # on a machine that other programs keep busy
    assert len(pool.tubes) == rows
    assert len(train) == pc.sum(pc.equal(splits, "train")).as_py()
    in_train = np.asarray(splits) == "train"
    assert len(of_train) == int(lengths[in_train[owners]].sum())
    assert load_tubes(str(tmp_path), ["video_id", "frame"]).get_total_buffer_size() < 12 * rows
