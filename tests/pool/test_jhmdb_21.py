"""Oracles: masks drawn here as rectangles; for the real set, its own folders and mask files."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from encoded_videos import HEIGHT, WIDTH, encode

from hybridal_ray.errors import UserError
from hybridal_ray.pool.formats.jhmdb_21 import ingest_jhmdb_21
from hybridal_ray.pool.masks import decode_mask
from hybridal_ray.pool.tables import Pool, load_pool, save_pool

CLIPS = {
    "jump|film": ["jump/film_0.avi"],
    "jump|street": ["jump/street_0.avi", "jump/street_1.avi"],
    "run|film": ["run/film_0.avi"],
    "run|park": ["run/park_0.avi"],
    "run|track": ["run/track_0.avi"],
}
LENGTH = 5


@dataclass(frozen=True)
class Folders:
    """A miniature of the set on disk."""

    root: Path

    @property
    def videos(self) -> Path:
        return self.root / "videos"

    @property
    def masks(self) -> Path:
        return self.root / "masks"

    @property
    def groups(self) -> Path:
        return self.root / "source_groups.json"

    def ingest(
        self,
        *,
        test_fraction: float = 0.4,
        seed: int = 0,
        official: Path | None = None,
        split: int = 1,
        progress: Callable | None = None,
    ) -> Pool:
        return ingest_jhmdb_21(
            self.videos,
            self.masks,
            self.groups,
            str(self.root / "pool"),
            test_fraction=test_fraction,
            seed=seed,
            official=official,
            split=split,
            progress=progress,
        )

    def write_mask(self, clip: str, mask: np.ndarray) -> None:
        file = self.masks / clip.replace(".avi", ".mat")
        file.parent.mkdir(parents=True, exist_ok=True)
        scipy.io.savemat(file, {"part_mask": mask}, do_compression=True)


def moving_mask(length: int = LENGTH) -> np.ndarray:
    """(H, W, T): a rectangle from (2 + 3t, 4) to (12 + 3t, 30) on frame t."""
    mask = np.zeros((HEIGHT, WIDTH, length), dtype=np.uint8)
    for frame in range(length):
        mask[4:30, 2 + 3 * frame : 12 + 3 * frame, frame] = 1
    return mask


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    made = Folders(tmp_path)
    for clip in (clip for clips in CLIPS.values() for clip in clips):
        (made.videos / clip).parent.mkdir(parents=True, exist_ok=True)
        encode(made.videos / clip, LENGTH, fps=30)
        made.write_mask(clip, moving_mask())
    made.groups.write_text(json.dumps(CLIPS))
    return made


def row_of(pool: Pool, video_id: str) -> dict:
    return next(row for row in pool.videos.to_pylist() if row["video_id"] == video_id)


def test_the_pool_holds_every_clip_and_its_one_tube(folders: Folders) -> None:
    pool = folders.ingest()
    assert pool.classes == ("jump", "run")
    assert len(pool.videos) == 6
    assert row_of(pool, "run/park_0") | {"split": ""} == {
        "video_id": "run/park_0",
        "uri": str(folders.videos / "run/park_0.avi"),
        "split": "",
        "group": "park",
        "num_frames": LENGTH,
        "fps": 30.0,
        "width": WIDTH,
        "height": HEIGHT,
        "status": "ok",
        "reason": None,
    }
    tube = pool.tubes_of(["run/park_0"]).to_pylist()
    assert [row["frame"] for row in tube] == list(range(LENGTH))
    for row in tube:
        start = 2 + 3 * row["frame"]
        assert (row["tube_id"], row["class_id"]) == ("0", 1)
        assert (row["x1"], row["y1"], row["x2"], row["y2"]) == (start, 4, start + 10, 30)
        np.testing.assert_array_equal(
            decode_mask(row["mask"], HEIGHT, WIDTH), moving_mask()[:, :, row["frame"]].astype(bool)
        )


def test_the_pool_is_saved_and_the_same_again(folders: Folders) -> None:
    first = folders.ingest()
    assert load_pool(first.root) == first
    assert folders.ingest() == first


def test_a_pool_of_something_else_stays(folders: Folders) -> None:
    pool = folders.ingest()
    save_pool(replace(pool, name="mine"))
    with pytest.raises(UserError, match=r"pool\.json: a pool is there already, its name 'mine'"):
        folders.ingest()
    assert load_pool(pool.root).name == "mine"


def test_a_source_is_on_one_side_even_across_classes(folders: Folders) -> None:
    for seed in range(5):
        rows = folders.ingest(seed=seed).videos.to_pylist()
        sides, actions = defaultdict(set), defaultdict(set)
        for row in rows:
            sides[row["group"]].add(row["split"])
            actions[row["split"]].add(row["video_id"].split("/")[0])
        assert all(len(side) == 1 for side in sides.values())
        assert actions == {"train": {"jump", "run"}, "test": {"jump", "run"}}


@pytest.mark.parametrize("mask_length", [LENGTH - 2, LENGTH + 2])
def test_frames_that_only_clip_or_masks_have_are_left_out(folders: Folders, mask_length: int) -> None:
    folders.write_mask("run/park_0.avi", moving_mask(mask_length))
    pool = folders.ingest()
    common = min(LENGTH, mask_length)
    assert row_of(pool, "run/park_0")["num_frames"] == common
    assert pool.tubes_of(["run/park_0"])["frame"].to_pylist() == list(range(common))


def test_a_frame_with_an_empty_mask_has_no_box(folders: Folders) -> None:
    mask = moving_mask()
    mask[:, :, 2] = 0
    folders.write_mask("run/park_0.avi", mask)
    pool = folders.ingest()
    assert row_of(pool, "run/park_0")["num_frames"] == LENGTH
    assert pool.tubes_of(["run/park_0"])["frame"].to_pylist() == [0, 1, 3, 4]


def test_masks_of_a_single_frame_lack_their_last_axis(folders: Folders) -> None:
    folders.write_mask("run/park_0.avi", moving_mask()[:, :, 0])
    assert folders.ingest().tubes_of(["run/park_0"])["frame"].to_pylist() == [0]


def spoil_nothing_but_the_video(folders: Folders, video: Path, mask: Path) -> None:
    video.write_bytes(b"no video")


@pytest.mark.parametrize(
    ("spoil", "status", "reason"),
    [
        (lambda folders, video, mask: video.unlink(), "missing", "no such file"),
        (spoil_nothing_but_the_video, "unreadable", "cannot be opened: Invalid data"),
        (lambda folders, video, mask: mask.unlink(), "unreadable", "no mask file"),
        (lambda folders, video, mask: mask.write_bytes(b"x" * 200), "unreadable", "mask file cannot be read"),
        (lambda folders, video, mask: mask.write_bytes(b""), "unreadable", "mask file cannot be read"),
        (
            lambda folders, video, mask: scipy.io.savemat(mask, {"other": 1}),
            "unreadable",
            "mask file holds no part_mask",
        ),
        (
            lambda folders, video, mask: folders.write_mask("run/park_0.avi", np.ones((4, 6, 5), np.uint8)),
            "unreadable",
            f"masks are 6×4, frames {WIDTH}×{HEIGHT} pixels",
        ),
    ],
)
def test_a_clip_that_cannot_be_used_says_why(folders: Folders, spoil, status: str, reason: str) -> None:
    spoil(folders, folders.videos / "run/park_0.avi", folders.masks / "run/park_0.mat")
    pool = load_pool(folders.ingest().root)
    row = row_of(pool, "run/park_0")
    assert row["status"] == status
    assert row["reason"].startswith(reason)
    assert len(pool.tubes_of(["run/park_0"])) == 0
    assert len(pool.usable_videos("train")) + len(pool.usable_videos("test")) == 5


def test_progress_counts_every_clip(folders: Folders) -> None:
    calls: list[tuple[int, int]] = []
    folders.ingest(progress=lambda done, total: calls.append((done, total)))
    assert calls == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ("[1]", "found a list, expected an object"),
        ("{", "not valid JSON"),
        (json.dumps({"run": []}), "key 'run', expected"),
        (json.dumps({"fly|film": []}), "key 'fly|film', expected"),
        (json.dumps({"run|film": "run/film_0.avi"}), "'run|film' holds a str"),
        (json.dumps({"run|film": ["jump/film_0.avi"]}), "holds 'jump/film_0.avi', expected \"run/<clip>.avi\""),
        (json.dumps(CLIPS | {"run|other": ["run/film_0.avi"]}), "'run/film_0.avi' is listed twice"),
        (json.dumps(CLIPS | {"run|track": []}), "1 clips of .* are in no group, such as 'run/track_0.avi'"),
    ],
)
def test_a_wrong_file_of_groups_says_what_is_wrong(folders: Folders, groups: str, message: str) -> None:
    folders.groups.write_text(groups)
    with pytest.raises(UserError, match=rf"source_groups\.json: .*{message.replace('|', '[|]')}"):
        folders.ingest()


def test_wrong_folders_are_named(folders: Folders, tmp_path: Path) -> None:
    arguments = {"root": str(tmp_path / "pool"), "test_fraction": 0.4, "seed": 0}
    with pytest.raises(UserError, match="absent: no such folder, expected the clips"):
        ingest_jhmdb_21(tmp_path / "absent", folders.masks, folders.groups, **arguments)
    with pytest.raises(UserError, match=r"masks: holds no <class>/<clip>\.avi"):
        ingest_jhmdb_21(folders.masks, folders.masks, folders.groups, **arguments)
    with pytest.raises(UserError, match="absent: no such folder, expected the masks"):
        ingest_jhmdb_21(folders.videos, tmp_path / "absent", folders.groups, **arguments)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty: holds no <class>/<clip>\.mat"):
        ingest_jhmdb_21(folders.videos, tmp_path / "empty", folders.groups, **arguments)
    with pytest.raises(UserError, match=r"absent\.json: no such file"):
        ingest_jhmdb_21(folders.videos, folders.masks, tmp_path / "absent.json", **arguments)


@pytest.mark.data
@pytest.mark.slow
def test_the_real_set(hybridal_data: Path, tmp_path: Path) -> None:
    source = hybridal_data / "jhmdb21"
    videos, masks, groups = source / "videos", source / "masks", source / "source_groups.json"
    pool = ingest_jhmdb_21(videos, masks, groups, str(tmp_path), test_fraction=0.3, seed=0)

    rows = pool.videos.to_pylist()
    assert {row["video_id"] for row in rows} == {
        str(file.relative_to(videos).with_suffix("")) for file in videos.glob("*/*.avi")
    }
    assert {row["status"] for row in rows} == {"ok"}
    assert len(pool.classes) == 21
    for action in pool.classes:
        splits = [row["split"] for row in rows if row["video_id"].startswith(f"{action}/")]
        assert 0.2 < splits.count("test") / len(splits) < 0.4
    for row in rows[::50]:
        mask = scipy.io.loadmat(masks / f"{row['video_id']}.mat")["part_mask"]
        assert row["num_frames"] == mask.shape[2]
        for box in pool.tubes_of([row["video_id"]]).to_pylist():
            ys, xs = np.nonzero(mask[:, :, box["frame"]])
            assert (box["x1"], box["y1"], box["x2"], box["y2"]) == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)


def write_splits(folder: Path, number: int, **marks: str) -> Path:
    """``<class>_test_split<number>.txt`` from the marks of each class, its clips in order of name."""
    folder.mkdir(exist_ok=True)
    for action, of_class in marks.items():
        clips = sorted(clip.split("/")[1] for clips in CLIPS.values() for clip in clips if clip.startswith(action))
        lines = [f"{clip} {mark}" for clip, mark in zip(clips, of_class, strict=True)]
        (folder / f"{action}_test_split{number}.txt").write_text("\n".join(lines) + "\n")
    return folder


def test_official_splits_are_taken_as_they_are(folders: Folders) -> None:
    official = write_splits(folders.root / "splits", 1, jump="211", run="120")
    write_splits(folders.root / "splits", 2, jump="112", run="212")
    pool = folders.ingest(official=official)
    rows = {row["video_id"]: (row["split"], row["group"]) for row in pool.videos.to_pylist()}
    assert rows == {
        "jump/film_0": ("test", "jump/film_0"),  # its source has a clip on either side
        "jump/street_0": ("train", "street"),
        "jump/street_1": ("train", "street"),
        "run/film_0": ("train", "run/film_0"),
        "run/park_0": ("test", "park"),  # run/track_0 is marked 0: of neither side
    }
    assert load_pool(pool.root).videos.num_rows == 5
    second = folders.ingest(official=official, split=2)
    assert {row["video_id"] for row in second.videos.to_pylist() if row["split"] == "test"} == {
        "jump/street_1",
        "run/film_0",
        "run/track_0",
    }


@pytest.mark.parametrize(("content", "why"), [("film_0.avi 7\n", "expected a clip and 1"), ("", "holds no <class>")])
def test_malformed_official_splits_are_refused(folders: Folders, content: str, why: str) -> None:
    official = folders.root / "splits"
    official.mkdir()
    (official / "jump_test_split1.txt").write_text(content)
    with pytest.raises(UserError, match=why):
        folders.ingest(official=official)


def test_a_mask_file_that_claims_ten_gigabytes_is_not_loaded(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scipy.io, "whosmat", lambda _: [("part_mask", (100_000, 100_000, 1), "uint8")])
    monkeypatch.setattr(scipy.io, "loadmat", lambda *_, **__: pytest.fail("was loaded"))
    pool = folders.ingest()
    assert {row["reason"] for row in pool.videos.to_pylist()} == {"mask file claims 10000000000 pixels"}
