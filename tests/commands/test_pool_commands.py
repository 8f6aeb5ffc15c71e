"""``hybridal ingest``, ``export`` and ``check``: what they print is compared with the pool they leave."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.tables import load_pool

sys.path.insert(0, str(Path(__file__).parents[1] / "pool"))

from encoded_videos import encode

FACTS = VideoFacts(num_frames=12, fps=25.0, width=128, height=48)


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    folder.mkdir()
    encode(folder / "v.mp4", FACTS.num_frames)
    encode(folder / "w.mp4", FACTS.num_frames + 1)
    return folder


def write_cvat(folder: Path) -> Path:
    box = '<box frame="{}" outside="0" keyframe="1" xtl="4.0" ytl="5.0" xbr="24.0" ybr="35.0"/>'
    track = f'<track id="0" label="run">{"".join(box.format(frame) for frame in range(3, 6))}</track>'
    task = "<meta><task><size>8</size><source>v.mp4</source></task></meta>"
    (folder / "labels.xml").write_text(f"<annotations>{task}{track}</annotations>")
    return folder / "labels.xml"


def test_help_names_every_format(hybridal) -> None:
    out = hybridal("ingest", "--help")[1]
    for name in ("jhmdb-21", "ucf101-24", "act", "ava", "multisports", "cvat", "label-studio", "frames", "videos"):
        assert name in out
    out = hybridal("export", "--help")[1]
    for name in ("cvat", "label-studio", "act", "ava"):
        assert name in out


def test_videos_become_a_pool_without_labels(hybridal, videos: Path, tmp_path: Path) -> None:
    arguments = ("--videos", videos, "--classes", "run, sit", "--out", tmp_path / "pool", "--json")
    code, out, _ = hybridal("ingest", "videos", *arguments)
    pool = load_pool(str(tmp_path / "pool"))
    assert code == 0
    assert json.loads(out)["train videos"] == len(pool.usable_videos("train")) == 2
    assert pool.classes == ("run", "sit")


def test_labels_go_in_and_out_in_every_format(hybridal, videos: Path, tmp_path: Path) -> None:
    labels = write_cvat(tmp_path)
    assert hybridal("ingest", "cvat", "--annotations", labels, "--videos", videos, "--out", tmp_path / "pool")[0] == 0
    first = load_pool(str(tmp_path / "pool"))
    assert first.tubes["frame"].to_pylist() == [3, 4, 5]
    assert first.looked_at is not None
    assert first.looked_at["frame"].to_pylist() == list(range(8))
    for name, file in (("cvat", "xml"), ("label-studio", "ls.json"), ("act", "gt.pkl"), ("ava", "ava.csv")):
        out = tmp_path / file
        code, told, _ = hybridal("export", name, tmp_path / "pool", "--out", out)
        assert code == 0
        assert told == f"{out}: the labels of 1 videos\n"
        source = ("--train", out) if name == "ava" else ("--annotations", out)
        more = ("--label-map", f"{out}.label_map.pbtxt") if name == "ava" else ()
        again = tmp_path / f"again-{name}"
        assert hybridal("ingest", name, *source, *more, "--videos", videos, "--out", again)[0] == 0
        pool = load_pool(str(again))
        assert pool.looked_at == first.looked_at
        for edge in ("x1", "y1", "x2", "y2"):
            np.testing.assert_allclose(pool.tubes[edge].to_numpy(), first.tubes[edge].to_numpy(), rtol=1e-6)
        assert pool.tubes["frame"] == first.tubes["frame"]


def test_an_export_tells_of_masks_that_it_leaves_out(hybridal, videos: Path, tmp_path: Path) -> None:
    labels = write_cvat(tmp_path)
    mask = '<mask frame="6" outside="0" keyframe="1" rle="0, 6" left="9" top="5" width="3" height="2"/>'
    labels.write_text(labels.read_text().replace("</track>", f"{mask}</track>"))
    assert hybridal("ingest", "cvat", "--annotations", labels, "--videos", videos, "--out", tmp_path / "pool")[0] == 0
    for name, notes in (("cvat", ""), ("act", "note: 1 masks were left out, for which the format has no place; ")):
        out = tmp_path / name
        told = hybridal("export", name, tmp_path / "pool", "--out", out)[1]
        assert told.startswith(f"{out}: the labels of 1 videos\n{notes}")
        assert told.count("\n") == 1 + bool(notes)


@pytest.mark.parametrize(
    ("name", "out", "there"),
    [
        ("cvat", "xml", "xml/v.xml"),
        ("label-studio", "ls.json", "ls.json"),
        ("act", "gt.pkl", "gt.pkl"),
        ("ava", "ava.csv", "ava.csv.label_map.pbtxt"),
    ],
)
def test_an_export_does_not_write_over_files(
    hybridal, videos: Path, tmp_path: Path, name: str, out: str, there: str
) -> None:
    labels = write_cvat(tmp_path)
    assert hybridal("ingest", "cvat", "--annotations", labels, "--videos", videos, "--out", tmp_path / "pool")[0] == 0
    export = ("export", name, tmp_path / "pool", "--out", tmp_path / out)
    file = tmp_path / there
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"what annotators drew")
    code, told, err = hybridal(*export)
    assert (code, told) == (2, "")
    assert f"{file}: is there already, expected a new file, or --replace" in err
    assert file.read_bytes() == b"what annotators drew"
    assert [path for path in tmp_path.glob(f"{out}*") if path.is_file() and path != file] == []
    assert hybridal(*export, "--replace")[0] == 0
    assert file.read_bytes() != b"what annotators drew"


def test_a_pool_is_replaced_by_itself_alone(hybridal, videos: Path, tmp_path: Path) -> None:
    out, both = tmp_path / "pool", ("videos", "--videos", videos, "--classes", "run", "--out", tmp_path / "both")
    assert hybridal("ingest", *both)[0] == 0
    (videos / "w.mp4").rename(tmp_path / "w.mp4")
    with_labels = ("cvat", "--annotations", write_cvat(tmp_path), "--videos", videos, "--out", out)
    without = ("videos", "--videos", videos, "--classes", "run", "--out", out)
    assert hybridal("ingest", *without)[0] == 0
    assert hybridal("ingest", *with_labels)[0] == 0  # labels for a pool that had none
    assert hybridal("ingest", *with_labels)[0] == 0
    code, _, err = hybridal("ingest", *both)
    assert (code, err.count("\n")) == (2, 1)
    assert "both/pool.json: a pool is there already, with 1 videos that the new one has not ('w'); expected all" in err
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    for arguments, why in (
        (without, "a pool with 3 labelled boxes is there already, and the new one has none"),
        ((*with_labels, "--name", "other"), "its name 'pool', that of the new one 'other'"),
        ((*without, "--classes", "run,sit"), "its classes ['run'], that of the new one ['run', 'sit']"),
    ):
        code, _, err = hybridal("ingest", *arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"hybridal: {out}/pool.json: a pool ")
        assert why in err
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before


def test_where_nothing_can_be_written_nothing_is_decoded(hybridal, videos: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr("hybridal_ray.pool.formats.assembling._look_at", lambda *_: pytest.fail("videos were decoded"))
    arguments = ("--videos", videos, "--classes", "run", "--out", tmp_path / "file/pool")
    code, _, err = hybridal("ingest", "videos", *arguments)
    assert (code, err.count("\n"), "cannot be written" in err) == (2, 1, True)


def test_pools_are_joined_by_their_relative_names(hybridal, videos: Path, tmp_path: Path, monkeypatch) -> None:
    labels = (
        "--annotations",
        write_cvat(tmp_path),
        "--videos",
        videos,
        "--split",
        "test",
        "--out",
        tmp_path / "tested",
    )
    assert hybridal("ingest", "cvat", *labels, "--videos", videos)[0] == 0
    (videos / "v.mp4").rename(tmp_path / "v.mp4")
    assert hybridal("ingest", "videos", "--videos", videos, "--classes", "sit,run", "--out", tmp_path / "bare")[0] == 0
    monkeypatch.chdir(tmp_path)
    code, out, err = hybridal("join", "bare", "tested", "--out", "pool", "--json")
    assert code == 0, err
    told, pool = json.loads(out), load_pool(str(tmp_path / "pool"))
    assert (told["train videos"], told["test videos"], pool.name, pool.classes) == (1, 1, "pool", ("sit", "run"))
    assert set(pool.tubes["class_id"].to_pylist()) == {1}
    assert hybridal("join", "bare", "bare", "--out", "twice")[0] == 2


def test_a_video_that_is_not_there_is_told(hybridal, videos: Path, tmp_path: Path) -> None:
    (videos / "v.mp4").unlink()
    labels = write_cvat(tmp_path)
    _, out, _ = hybridal("ingest", "cvat", "--annotations", labels, "--videos", videos, "--out", tmp_path / "pool")
    assert "note: 1 of 1 annotated videos are not in the folder of videos: v\n" in out


@pytest.mark.parametrize("command", ["videos", "frames", "cvat"])
def test_the_time_that_a_video_may_take_is_told(
    hybridal, videos: Path, tmp_path: Path, monkeypatch, command: str
) -> None:
    given: list[float] = []

    class Stub(DecoderProcess):
        def __init__(self, seconds: float) -> None:
            given.append(seconds)
            super().__init__(seconds)

    monkeypatch.setattr("hybridal_ray.pool.formats.assembling.DecoderProcess", Stub)
    arguments = {
        "videos": ("--videos", videos, "--classes", "run"),
        "frames": ("--frames", videos, "--classes", "run", "--fps", 10),
        "cvat": ("--annotations", write_cvat(tmp_path), "--videos", videos),
    }[command]
    code, _, err = hybridal("ingest", command, *arguments, "--out", tmp_path / "pool", "--seconds-per-video", 4321)
    assert (code, err, set(given)) == (0, "", {4321.0})


def test_hostile_labels_are_one_line_on_stderr(hybridal, tmp_path: Path) -> None:
    bomb = '<!DOCTYPE a [<!ENTITY b "x">]><annotations>&b;</annotations>'
    (tmp_path / "labels.xml").write_text(bomb)
    arguments = ("--annotations", tmp_path / "labels.xml", "--out", tmp_path / "pool")
    code, _, err = hybridal("ingest", "cvat", *arguments)
    assert code == 2
    assert err.startswith("hybridal: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "pool").exists()


def test_check_ends_with_1_until_what_is_unusable_is_gone(hybridal, videos: Path, tmp_path: Path) -> None:
    pool, mended = tmp_path / "pool", tmp_path / "mended"
    hybridal("ingest", "videos", "--videos", videos, "--classes", "run", "--out", pool)
    assert hybridal("check", pool, "--actors", 0)[0] == 0
    (videos / "w.mp4").write_bytes(b"no video" * 9)
    code, out, _ = hybridal("check", pool, "--actors", 0, "--json", "--fix", mended)
    assert code == 1
    assert [(f["video_id"], f["kind"]) for f in json.loads(out)["findings"]] == [("w", "unreadable")]
    assert load_pool(str(mended)).videos["video_id"].to_pylist() == ["v"]
    code, out, _ = hybridal("check", mended, "--actors", 0)
    assert code == 0
    assert "1 videos, 0 of them unusable" in out
    assert "is the pool that is checked" in hybridal("check", pool, "--fix", pool)[2]


def test_check_writes_no_pool_of_nothing(hybridal, videos: Path, tmp_path: Path) -> None:
    hybridal("ingest", "videos", "--videos", videos, "--classes", "run", "--out", tmp_path / "pool")
    for file in videos.iterdir():
        file.unlink()
    code, _, err = hybridal("check", tmp_path / "pool", "--actors", 0, "--fix", tmp_path / "mended")
    assert (code, "mended: not written, for no video is usable" in err) == (1, True)
    assert not (tmp_path / "mended").exists()


def test_check_never_mends_a_pool_in_its_own_place_or_in_that_of_another(
    hybridal, videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pool", "other"):
        hybridal("ingest", "videos", "--videos", videos, "--classes", "run", "--out", tmp_path / name)
    before = {file: file.read_bytes() for file in tmp_path.glob("*/*.*") if file.parent != videos}
    (videos / "w.mp4").unlink()
    (tmp_path / "link").symlink_to(tmp_path / "pool")
    monkeypatch.chdir(tmp_path)
    same = ("./pool", "other/../pool/", tmp_path / "pool", "link", (tmp_path / "pool").as_uri())
    for place, why in [*((place, "is the pool that is checked") for place in same), ("other", "holds a pool already")]:
        code, _, err = hybridal("check", "pool", "--actors", 0, "--fix", place)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"hybridal: --fix: {place} {why}; expected ")
    assert {file: file.read_bytes() for file in before} == before


@pytest.mark.parametrize("tool", ["cvat", "label-studio"])
def test_a_split_that_no_pool_may_have_is_refused_at_once(hybridal, tmp_path: Path, tool: str) -> None:
    options = ("--annotations", tmp_path / "absent", "--out", tmp_path / "pool", "--split", "tset")
    code, _, err = hybridal("ingest", tool, *options)
    assert (code, err) == (2, "hybridal: --split: found 'tset', expected one of train, val, test\n")
    assert not (tmp_path / "pool").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("ava", "--out", "pool"), "expected a csv file"),
        (("frames", "--frames", ".", "--fps", "10", "--out", "pool", "--labels", "act"), "--labels"),
    ],
)
def test_options_that_are_missing_are_told(hybridal, tmp_path: Path, arguments: tuple, why: str) -> None:
    code, _, err = hybridal("ingest", *arguments)
    assert code == 2
    assert why in err
