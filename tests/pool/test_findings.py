"""Oracles: faults put in on purpose, one each; a check of a mended pool finds nothing unusable."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from encoded_videos import encode, rotate

from hybridal_ray.check import check_pool
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.decoding import UnreadableVideo, VideoFacts
from hybridal_ray.pool.findings import find_faults
from hybridal_ray.pool.inspection import Inspection, inspect_video, perceptual_hash
from hybridal_ray.pool.mending import write_mended
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA, VIDEOS_SCHEMA, Pool, load_pool

SCENE = ("0123456789abcdef",) * 5
OTHER = ("f0e1d2c3b4a59687",) * 5


def faulty_pool(folder: Path) -> Pool:
    """A sound video and one of each fault."""
    for name, frames in (("sound", 23), ("short", 8), ("turned", 12), ("small", 9)):
        encode(folder / f"{name}.mp4", frames, key_frame_every=5, b_frames=0)
    rotate(folder / "turned.mp4", 1)
    (folder / "copy.mp4").write_bytes((folder / "sound.mp4").read_bytes())
    (folder / "junk.mp4").write_bytes(b"no video" * 99)
    whole = encode(folder / "cut.mp4", 60, key_frame_every=10, b_frames=0).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) * 2 // 3])
    rows = []
    for name in ("sound", "copy", "short", "turned", "small", "junk", "cut", "gone"):
        size = {"turned": (48, 128), "small": (64, 24)}.get(name, (128, 48))
        length = {"short": 20, "turned": 12, "small": 9, "cut": 10}.get(name, 20)
        rows.append(
            {
                "video_id": name,
                "uri": f"{name}.mp4",
                "split": "test" if name == "copy" else "train",
                "group": name,
                "num_frames": length,
                "fps": 25.0,
                "width": size[0],
                "height": size[1],
                "status": "ok",
                "reason": None,
            }
        )
    box = {"tube_id": "a", "class_id": 0, "x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0, "mask": None}
    tubes = [
        box | {"video_id": "sound", "frame": 0},
        box | {"video_id": "sound", "frame": 1, "x1": -4.0, "x2": 140.0},
        box | {"video_id": "sound", "frame": 2, "x1": 130.0, "x2": 140.0},
        box | {"video_id": "short", "frame": 7},
        box | {"video_id": "short", "frame": 15},
        box | {"video_id": "gone", "frame": 0},
    ]
    frames = [{"video_id": "short", "frame": frame} for frame in (6, 7, 15)]
    pool = Pool(
        str(folder / "pool"),
        "faulty",
        ("run",),
        pa.Table.from_pylist(rows, VIDEOS_SCHEMA),
        pa.Table.from_pylist(tubes, TUBES_SCHEMA),
        pa.Table.from_pylist(frames, LABELLED_FRAMES_SCHEMA),
    )
    return Pool(str(folder), pool.name, pool.classes, pool.videos, pool.tubes, pool.looked_at)


def test_each_fault_is_found_and_mended(tmp_path: Path) -> None:
    pool = faulty_pool(tmp_path)
    report = check_pool(pool, str(tmp_path / "work"), ActorPlan(actors=0, seconds_per_video=60))
    found = {(finding.kind, finding.video_id): finding.detail for finding in report.findings}
    assert {key: text.split(":")[0] for key, text in found.items()} == {
        ("missing", "gone"): "no such file",
        ("unreadable", "junk"): "cannot be opened",
        ("fewer frames", "short"): "8 frames decode, the pool tells of 20",
        ("other size", "small"): "128×48 pixels, the pool tells of 64×24",
        ("truncated", "cut"): found["truncated", "cut"].split(":")[0],
        ("boxes outside", "sound"): "2 boxes",
        ("tubes outside", "short"): "1 boxes",
        ("duplicate", "sound"): "the same pixels as copy",
        ("rotated", "turned"): "by -90°",
        ("near-duplicate", "cut"): "looks like copy, which is to be tested on",  # the same scene, longer
    }
    assert found["truncated", "cut"].startswith(f"{report.seen['cut'].facts.num_frames} of 60 frames decode: ")
    assert report.unusable == 4
    mended = write_mended(pool, str(tmp_path / "mended"), report.seen, report.findings)
    again = load_pool(mended.root)
    assert sorted(again.videos["video_id"].to_pylist()) == ["copy", "cut", "short", "sound", "turned"]
    assert [(r["video_id"], r["frame"], r["x1"], r["x2"]) for r in again.tubes.to_pylist()] == [
        ("short", 7, 1.0, 9.0),
        ("sound", 0, 1.0, 9.0),
        ("sound", 1, 0.0, 128.0),
    ]
    assert again.looked_at is not None
    assert again.looked_at["frame"].to_pylist() == [6, 7]
    second = check_pool(again, str(tmp_path / "work 2"), ActorPlan(actors=0, seconds_per_video=60))
    assert second.unusable == 0


def test_what_the_importer_set_aside_stays_so_and_what_was_missing_is_taken_in(tmp_path: Path) -> None:
    pool = faulty_pool(tmp_path)
    status = {"turned": ("unreadable", "no mask file"), "sound": ("missing", "not in the folder of videos")}
    rows = [row | dict(zip(("status", "reason"), status.get(row["video_id"], ("ok", None)), strict=True))
            for row in pool.videos.to_pylist()]  # fmt: skip
    pool = dataclasses.replace(pool, videos=pa.Table.from_pylist(rows, VIDEOS_SCHEMA))
    report = check_pool(pool, str(tmp_path / "work"), ActorPlan(actors=0, seconds_per_video=60))
    told = {finding.video_id: finding.detail for finding in report.findings if finding.kind == "set aside"}
    assert told == {"turned": "unreadable: no mask file"}
    mended = write_mended(pool, str(tmp_path / "mended"), report.seen, report.findings)
    assert sorted(mended.videos["video_id"].to_pylist()) == ["copy", "cut", "short", "sound"]


def test_a_long_video_has_more_time_to_be_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, given = faulty_pool(tmp_path), {}

    def inspect(decoder: DecoderProcess, uri: str, seconds: float) -> Inspection:
        given[Path(uri).stem] = seconds
        raise UnreadableVideo(uri, "not looked at")

    monkeypatch.setattr(DecoderProcess, "inspect", inspect)
    rows = [{**row, "num_frames": 2500 if row["video_id"] == "cut" else 9} for row in pool.videos.to_pylist()]
    long = dataclasses.replace(pool, videos=pa.Table.from_pylist(rows, VIDEOS_SCHEMA))
    check_pool(long, str(tmp_path / "work"), ActorPlan(actors=0, seconds_per_video=60))
    assert given == {row["video_id"]: 60 for row in rows} | {"cut": 150}


@pytest.mark.ray
def test_a_check_on_ray_finds_the_same(tmp_path: Path, ray_cluster: None) -> None:
    pool = faulty_pool(tmp_path)
    here = check_pool(pool, str(tmp_path / "here"), ActorPlan(actors=0, seconds_per_video=60))
    seen: list[tuple[int, int]] = []
    plan = ActorPlan(actors=2, videos_per_chunk=2, seconds_per_video=60)
    there = check_pool(pool, str(tmp_path / "there"), plan, lambda done, total: seen.append((done, total)))
    assert there == here
    assert seen[-1] == (8, 8)


def looks(**hashes: tuple[str, ...]) -> dict[str, Inspection]:
    return {
        name: Inspection(VideoFacts(10, 25.0, 64, 48), None, 10, 0, f"{name}", value) for name, value in hashes.items()
    }


def pool_with(**splits: str) -> Pool:
    rows = [
        {
            "video_id": name,
            "uri": name,
            "split": split,
            "group": name,
            "num_frames": 10,
            "fps": 25.0,
            "width": 64,
            "height": 48,
            "status": "ok",
            "reason": None,
        }
        for name, split in splits.items()
    ]
    return Pool("", "p", ("run",), pa.Table.from_pylist(rows, VIDEOS_SCHEMA), TUBES_SCHEMA.empty_table())


def test_near_duplicates_are_told_across_train_and_test_alone() -> None:
    four = (*SCENE[:4], OTHER[0])
    three = (*SCENE[:3], *OTHER[:2])
    plain = ("0" * 16,) * 5
    seen = looks(a=SCENE, b=four, c=three, d=SCENE, e=plain, f=plain)
    pool = pool_with(a="train", b="test", c="test", d="train", e="train", f="test")
    findings = find_faults(pool, seen, {})
    assert [(f.kind, f.video_id, f.detail) for f in findings] == [
        ("near-duplicate", "a", "looks like b, which is to be tested on"),
        ("near-duplicate", "d", "looks like b, which is to be tested on"),
    ]


def test_a_coding_in_another_size_and_quality_looks_alike(tmp_path: Path) -> None:
    """Of textured scenes: noise of low frequency, as plain colours have no content to compare."""
    import av

    def write(path: Path, seed: int, width: int, crf: int) -> Inspection:
        coarse = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, width * 3 // 4, "yuv420p"
            stream.options = {"crf": str(crf)}
            for shift in range(20):
                frame = av.VideoFrame.from_ndarray(np.roll(coarse, shift // 4, axis=1), "rgb24")
                scaled = frame.reformat(width=width, height=width * 3 // 4, interpolation="BICUBIC")
                container.mux(stream.encode(scaled))
            container.mux(stream.encode(None))
        return inspect_video(str(path))

    seen = {
        "a": write(tmp_path / "a.mp4", 1, 320, 18),
        "b": write(tmp_path / "b.mkv", 1, 160, 32),
        "c": write(tmp_path / "c.mp4", 2, 320, 18),
    }
    findings = find_faults(pool_with(a="train", b="test", c="train"), seen, {})
    assert [(f.kind, f.video_id) for f in findings if f.kind == "near-duplicate"] == [("near-duplicate", "a")]


def test_the_hash_compares_neighbours() -> None:
    rising = np.repeat(np.arange(9, dtype=np.uint8)[np.newaxis, :, np.newaxis] * 20, 8, axis=0).repeat(3, axis=2)
    assert perceptual_hash(rising) == "0" * 16
    assert perceptual_hash(rising[:, ::-1]) == "f" * 16


def test_frames_of_unequal_length_are_told(tmp_path: Path) -> None:
    import av

    def timed(name: str, stamps: list[int]) -> bool:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for stamp in stamps:
                frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), dtype=np.uint8), "rgb24")
                frame.pts = stamp
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return inspect_video(str(tmp_path / name)).facts.variable_rate

    assert timed("uneven.mp4", [0, 1, 2, 7, 8, 20])
    assert not timed("even.mp4", [0, 1, 2, 3, 4, 5])


@pytest.mark.data
def test_the_real_truncated_file_is_told(hybridal_data: Path) -> None:
    found = inspect_video(str(hybridal_data / "edge_videos/decord_corrupted.mp4"))
    assert (found.facts.num_frames, found.stated_frames) == (28, 50)
    assert found.broke_off is not None
