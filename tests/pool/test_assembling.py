"""Oracles: folders made up here; files that kill, stall or fool the decoder must cost no more than themselves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from encoded_videos import encode, number_on, numbered_frame

from hybridal_ray.errors import UserError
from hybridal_ray.pool import decoder_process
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoder_process import DecoderProcess
from hybridal_ray.pool.decoding import VideoFacts, iter_frames, probe, read_frames, read_video
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, Tube, VideoLabels
from hybridal_ray.pool.formats.assembling import Imported, assemble_pool
from hybridal_ray.pool.formats.media import MediaFolder
from hybridal_ray.pool.formats.plain_videos import list_videos
from hybridal_ray.pool.frame_index import build_index
from hybridal_ray.pool.ledger import labels_of_tubes
from hybridal_ray.pool.tables import load_pool


def write_images(folder: Path, num_frames: int, suffix: str = ".png") -> Path:
    """A folder of `numbered_frame`s, numbered without leading zeros."""
    folder.mkdir(parents=True)
    for index in range(num_frames):
        with av.open(str(folder / f"frame{index}{suffix}"), "w", format="image2", options={"update": "1"}) as container:
            frame = av.VideoFrame.from_ndarray(numbered_frame(index), "rgb24")
            stream = container.add_stream("png" if suffix == ".png" else "mjpeg", rate=1)
            stream.width, stream.height = frame.width, frame.height
            stream.pix_fmt = "rgb24" if suffix == ".png" else "yuvj420p"
            container.mux([*stream.encode(frame), *stream.encode(None)])
    return folder


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    encode(folder / "sub" / "a.b.mp4", 6)
    (folder / "broken.avi").write_bytes(b"no video" * 100)
    (folder / "notes.txt").write_text("no video either")
    write_images(folder / "pictures", 12)
    return folder


def tube(*frames: int) -> Tube:
    return Tube("t", 0, np.array(frames), np.array([[1.0, 2, 11, 12]] * len(frames)))


def assemble(videos: Path, *annotated: AnnotatedVideo, fps: float | None = None) -> Imported:
    root = str(videos.parent / "pool")
    media = MediaFolder(str(videos))
    return assemble_pool(Annotations(("run",), annotated), media, "labels.xml", root, name="made", fps=fps)


def test_videos_are_found_by_path_with_or_without_ending_or_by_their_last_part(videos: Path) -> None:
    media = MediaFolder(str(videos))
    assert media.names == ["broken", "pictures", "sub/a.b"]
    for named in ("sub/a.b", "sub/a.b.mp4", "a.b.mkv", "elsewhere/a.b"):
        assert media.find_all([named], "labels.xml") == [str(videos / "sub/a.b.mp4")]
    assert media.find_all(["a"], "labels.xml") == [None]
    remote = MediaFolder(videos.as_uri())
    assert remote.names == media.names
    assert remote.find_all(["pictures"], "labels.xml") == [f"{videos.as_uri()}/pictures/"]
    with pytest.raises(UserError, match=r"labels\.xml: names the file '\.\./videos/broken\.avi'"):
        media.find_all(["../videos/broken.avi"], "labels.xml")


def test_a_file_that_is_named_in_full_is_no_other_videos_nor_one_that_two_would_take(videos: Path) -> None:
    media = MediaFolder(str(videos))
    there = str(videos / "sub/a.b.mp4")
    assert media.find_all(["elsewhere/a.b", "sub/a.b"], "labels.xml") == [None, there]
    assert media.find_all(["elsewhere/a.b", "there/a.b"], "labels.xml") == [None, None]
    assert media.find_all(["elsewhere/a.b", "pictures"], "labels.xml") == [there, str(videos / "pictures")]


def test_a_folder_of_images_may_be_named_like_a_file(videos: Path) -> None:
    for folder in ("clips/m.mp4", "clips/n.mp4", "clips/n"):
        write_images(videos / folder, 2)
    media = MediaFolder(str(videos))
    assert {"clips/m.mp4", "clips/n.mp4", "clips/n"} < set(media.names)
    for named in ("clips/m.mp4", "clips/m", "m", "m.mp4"):
        assert media.find_all([named], "labels.xml") == [str(videos / "clips/m.mp4")]
    both = ["clips/n.mp4", "clips/n"]  # each is there as it is named
    assert media.find_all(both, "labels.xml") == [str(videos / name) for name in both]


def test_a_last_part_that_two_videos_have_finds_neither(videos: Path) -> None:
    encode(videos / "a.b.mp4", 2)
    assert MediaFolder(str(videos)).find_all(["elsewhere/a.b"], "labels.xml") == [None]
    encode(videos / "a.b.avi", 2)
    with pytest.raises(UserError, match="differ in their ending only"):
        MediaFolder(str(videos))
    with pytest.raises(UserError, match="no such folder"):
        MediaFolder(str(videos / "absent"))


def test_what_is_there_decodes_and_what_is_not_is_told_in_one_line(videos: Path) -> None:
    gone = [AnnotatedVideo(f"gone{number}", "train") for number in range(50)]
    looked = AnnotatedVideo("sub/a.b", "train", lambda _: VideoLabels([tube(0, 3, 99)], np.array([1, 3])))
    claimed = VideoFacts(20, 25.0, 320, 240)
    absent = AnnotatedVideo("absent", "test", lambda _: VideoLabels([tube(7)]), claimed=claimed)
    made = assemble(videos, looked, AnnotatedVideo("broken", "test"), absent, *gone)
    pool = load_pool(made.pool.root)
    rows = {row["video_id"]: row for row in pool.videos.to_pylist()}
    assert rows["sub/a.b"] | {"uri": ""} == {
        "video_id": "sub/a.b", "uri": "", "split": "train", "group": "sub/a.b", "num_frames": 6, "fps": 25.0,
        "width": 128, "height": 48, "status": "ok", "reason": None,
    }  # fmt: skip
    assert (rows["broken"]["status"], rows["absent"]["status"]) == ("unreadable", "missing")
    assert rows["absent"]["num_frames"] == 20
    assert [(row["video_id"], row["frame"]) for row in pool.tubes.to_pylist()] == [
        ("absent", 7), ("sub/a.b", 0), ("sub/a.b", 3),
    ]  # fmt: skip
    assert pool.looked_at is not None
    assert [r["frame"] for r in pool.looked_at.to_pylist() if r["video_id"] == "sub/a.b"] == [0, 1, 3]
    assert made.notes == [
        "51 of 53 annotated videos are not in the folder of videos: absent, gone0, gone1, …",
        "1 of 53 annotated videos cannot be decoded: broken",
        "1 boxes were left out: they lie beyond the end of their video",
    ]


def test_frames_without_anyone_are_labels_and_unseen_frames_are_not(videos: Path) -> None:
    looked = AnnotatedVideo("sub/a.b", "train", lambda _: VideoLabels([tube(3)], np.array([1, 3])))
    pool = load_pool(assemble(videos, looked).pool.root)
    labels = labels_of_tubes(pool.tubes, pool.empty_frames_of(["sub/a.b"]))
    assert [(row["frame"], len(row["boxes"])) for row in labels.to_pylist()] == [(1, 0), (3, 1)]
    assert pool.empty_frames_of(["other"]).num_rows == 0


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_folder_of_images_reads_like_a_video(tmp_path: Path, suffix: str) -> None:
    uri = str(write_images(tmp_path / "pictures", 12, suffix))
    assert probe(uri) == VideoFacts(12, 0.0, 128, 48)
    whole = read_video(uri, (24, 64))
    assert [number_on(frame) for frame in whole] == list(range(12))  # 2 before 10
    np.testing.assert_array_equal(np.stack(list(iter_frames(uri, (24, 64)))), whole)
    np.testing.assert_array_equal(read_frames(uri, [11, 3, 3], (24, 64)), whole[[11, 3, 3]])
    np.testing.assert_array_equal(read_frames(uri, [11, 3], (24, 64), build_index(uri)), whole[[11, 3]])
    np.testing.assert_array_equal(read_video(Path(uri).as_uri() + "/", (24, 64)), whole)
    with pytest.raises(UnreadableVideo, match="frame 12 was asked for, but only 12 frames"):
        read_frames(uri, [12])


def test_a_folder_with_a_broken_image_ends_before_it(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "pictures", 6)
    (folder / "frame4.png").write_bytes(b"no image")
    assert probe(str(folder)).num_frames == 4
    (folder / "frame0.png").write_bytes(b"no image")
    with pytest.raises(UnreadableVideo, match=r"no frame can be decoded: frame0\.png"):
        probe(str(folder))


def test_images_are_given_the_rate_they_were_taken_at(videos: Path) -> None:
    pool = assemble(videos, AnnotatedVideo("pictures", "train"), AnnotatedVideo("sub/a.b", "train"), fps=12.5).pool
    assert dict(zip(pool.videos["video_id"].to_pylist(), pool.videos["fps"].to_pylist(), strict=True)) == {
        "pictures": 12.5, "sub/a.b": 25.0,
    }  # fmt: skip


def test_a_plain_folder_is_a_pool_without_labels(videos: Path) -> None:
    listed = list_videos(MediaFolder(str(videos)), ["run"], test_fraction=0.34, seed=1)
    assert sorted(video.split for video in listed.videos) == ["test", "train", "train"]
    grouped = list_videos(MediaFolder(str(videos)), ["run"], group_by_folder=True)
    assert {video.video_id: video.group for video in grouped.videos}["sub/a.b"] == "sub"
    pool = assemble(videos, *listed.videos).pool
    assert pool.tubes.num_rows == 0
    assert assemble(videos, *listed.videos).notes == [
        "1 of 3 videos cannot be decoded: broken"
    ]  # nobody annotated them
    for wrong in ([], ["run", "run"]):
        with pytest.raises(UserError, match="--classes"):
            list_videos(MediaFolder(str(videos)), wrong)


@pytest.mark.parametrize("by_time", [True, False])
def test_labels_told_by_time_in_videos_of_unequal_frames_are_told(videos: Path, by_time: bool) -> None:
    encode(videos / "uneven.mp4", 6, stamps=[0, 1, 2, 3, 7, 11])
    assert probe(str(videos / "uneven.mp4")).variable_rate
    assert not probe(str(videos / "sub" / "a.b.mp4")).variable_rate
    annotated = [AnnotatedVideo(name, "train", lambda _: VideoLabels([tube(3)])) for name in ("uneven", "sub/a.b")]
    annotations = Annotations(("run",), annotated, by_time=by_time)
    made = assemble_pool(annotations, MediaFolder(str(videos)), "a.csv", str(videos.parent / "pool"), name="made")
    assert [note.partition(";")[0] for note in made.notes] == [
        "1 of 2 annotated videos have frames of unequal length: uneven"
    ][:by_time]


def test_labels_of_which_no_box_is_left_do_not_replace_those_that_are_there(videos: Path) -> None:
    def annotated(*frames: int) -> AnnotatedVideo:
        return AnnotatedVideo("sub/a.b", "train", lambda _: VideoLabels([tube(*frames)]))

    assemble(videos, annotated(3))
    assert assemble(videos, annotated(3, 4)).pool.tubes.num_rows == 2
    with pytest.raises(UserError, match=r"pool\.json: a pool with 2 labelled boxes is there already"):
        assemble(videos, annotated(99))  # beyond the end of the video


def test_annotations_without_videos_are_refused(videos: Path) -> None:
    with pytest.raises(UserError, match=r"labels\.xml: names no video"):
        assemble(videos)


def test_classes_of_one_name_are_refused_before_anything_is_decoded(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hybridal_ray.pool.formats.assembling._look_at", lambda *_: pytest.fail("videos were decoded"))
    annotations = Annotations(("run", "sit", "run"), [AnnotatedVideo("sub/a.b", "train")])
    with pytest.raises(UserError, match=r"gt\.pkl: names the class 'run' more than once"):
        assemble_pool(annotations, MediaFolder(str(videos)), "gt.pkl", str(videos.parent / "pool"), name="made")
    assert not (videos.parent / "pool").exists()


def test_a_decoder_that_dies_costs_one_video(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a segmentation fault in FFmpeg: the child is killed by that signal when it is given a certain name."""
    start = subprocess.Popen
    program = (
        "import os, signal, sys\n"
        "from hybridal_ray.pool import decoder_child\n"
        "real = decoder_child.TASKS['probe']\n"
        "def dying(uri):\n"
        "    if 'broken' in uri:\n"
        "        os.kill(os.getpid(), signal.SIGSEGV)\n"
        "    return real(uri)\n"
        "decoder_child.TASKS['probe'] = dying\n"
        "decoder_child.serve(sys.stdin, sys.stdout)\n"
    )
    monkeypatch.setattr(subprocess, "Popen", lambda _, **more: start([sys.executable, "-c", program], **more))
    made = assemble(videos, *(AnnotatedVideo(name, "train") for name in ("broken", "pictures", "sub/a.b")))
    rows = {row["video_id"]: (row["status"], row["reason"]) for row in made.pool.videos.to_pylist()}
    assert rows == {
        "broken": ("unreadable", "the decoder died of it: SIGSEGV"),
        "pictures": ("ok", None),
        "sub/a.b": ("ok", None),
    }


def test_a_folder_that_cannot_be_listed_is_unreadable_and_the_decoder_lives_on(videos: Path) -> None:
    with DecoderProcess(seconds=60) as decoder:
        with pytest.raises(UnreadableVideo, match="nowhere://bucket/v/: ") as caught:
            decoder.probe("nowhere://bucket/v/")
        assert "died" not in caught.value.reason
        child = decoder._child
        assert decoder.probe(str(videos / "sub" / "a.b.mp4")).num_frames == 6
        assert decoder._child is child


def test_a_video_that_hangs_the_decoder_is_given_up(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_process, "SECONDS_TO_START", 30.0)
    uri = str(videos / "sub" / "a.b.mp4")
    with DecoderProcess(seconds=0.2) as decoder:
        assert decoder.probe(uri) == probe(uri)
        assert decoder._child is not None
        os.kill(decoder._child.pid, signal.SIGSTOP)
        with pytest.raises(UnreadableVideo, match=r"took more than 0\.2 s"):
            decoder.probe(uri)
        assert decoder.probe(uri) == probe(uri)  # by a new process


def test_a_video_may_take_as_long_as_it_is_given(videos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that needs a second and a half for each video, given one second and then plenty."""
    start = subprocess.Popen
    program = (
        "import sys, time\n"
        "from hybridal_ray.pool import decoder_child\n"
        "real = decoder_child.TASKS['probe']\n"
        "decoder_child.TASKS['probe'] = lambda uri: time.sleep(1.5) or real(uri)\n"
        "decoder_child.serve(sys.stdin, sys.stdout)\n"
    )
    monkeypatch.setattr(subprocess, "Popen", lambda _, **more: start([sys.executable, "-c", program], **more))
    monkeypatch.setattr(decoder_process, "SECONDS_TO_START", 0.0)
    annotations, media = Annotations(("run",), [AnnotatedVideo("sub/a.b", "train")]), MediaFolder(str(videos))

    def reason(seconds: float) -> str | None:
        root = str(videos.parent / f"pool{seconds}")
        made = assemble_pool(annotations, media, "gt.pkl", root, name="made", seconds_per_video=seconds)
        return made.pool.videos["reason"][0].as_py()

    assert (reason(1.0), reason(60.0)) == ("decoding it took more than 1 s", None)


def test_a_header_that_claims_a_huge_picture_is_refused(tmp_path: Path) -> None:
    """A PNG of 90,000 × 90,000 pixels, 32 GB when decoded, in 70 bytes."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 90_000, 90_000, 8, 2, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"x")) + chunk(b"IEND", b"")
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "0.png").write_bytes(content)
    with pytest.raises(UnreadableVideo):
        probe(str(tmp_path / "pictures"))


@pytest.mark.data
def test_ucf_pool_of_the_real_files(hybridal_data: Path, tmp_path: Path) -> None:
    from hybridal_ray.pool.formats.ucf101_24 import read_ucf101_24

    folder = hybridal_data / "ucf101_24"
    annotations = read_ucf101_24(str(folder / "pyannot.pkl"), str(folder / "testlist01.txt"))
    media = MediaFolder(str(folder / "videos"))
    made = assemble_pool(annotations, media, "pyannot.pkl", str(tmp_path / "pool"), name="ucf101_24")
    pool = load_pool(made.pool.root)
    assert len(pool.usable_videos("test")) + len(pool.usable_videos("train")) == 4
    train = [r["video_id"] for r in pool.videos.to_pylist() if r["split"] == "train"]
    assert (len(train), pool.tubes_of(train).num_rows) == (2284, 403_282)
    missing = [note for note in made.notes if "3181 of 3185 annotated videos are not in the folder" in note]
    assert len(missing) == len(made.notes) == 1
