"""Oracle: one linear decode of the whole file. Every frame, read from its nearest seek point, must equal it."""

from pathlib import Path

import av
import numpy as np
import pytest
from encoded_videos import encode, number_on

from hybridal_ray.pool import frame_index, storage
from hybridal_ray.pool.containers import UnreadableVideo, VideoStream
from hybridal_ray.pool.decoding import FrameIndex, SeekPoint, VideoFacts, probe, read_frames, read_video
from hybridal_ray.pool.frame_index import FRAMES_BETWEEN_POINTS, IndexStore, build_index


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encode(tmp_path_factory.mktemp("videos") / "long.mp4", 200, key_frame_every=25))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
@pytest.mark.parametrize("b_frames", [0, 3])
def test_every_frame_from_its_nearest_point_is_the_linear_one(tmp_path: Path, suffix: str, b_frames: int) -> None:
    video = str(encode(tmp_path / f"video{suffix}", 90, key_frame_every=20, b_frames=b_frames))
    index = build_index(video)
    whole = read_video(video)
    assert index.facts == probe(video)
    for frame in range(len(whole)):
        np.testing.assert_array_equal(read_frames(video, [frame], None, index)[0], whole[frame])
    np.testing.assert_array_equal(read_frames(video, [88, 3, 3, 41], 32, index), read_video(video, 32)[[88, 3, 3, 41]])


def test_key_frames_are_found(long_video: str) -> None:
    assert [point.frame for point in build_index(long_video).points] == list(range(25, 200, 25))


def test_points_are_not_too_near(tmp_path: Path) -> None:
    frames = [point.frame for point in build_index(str(encode(tmp_path / "intra.mp4", 60, key_frame_every=1))).points]
    assert len(frames) >= 3
    assert (np.diff(frames) >= FRAMES_BETWEEN_POINTS).all()


def test_a_clip_decodes_no_more_than_from_the_nearest_key_frame(
    long_video: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = build_index(long_video)
    decoded: list[int] = []
    linear = VideoStream.frames

    def counting(source: VideoStream):
        for frame in linear(source):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(VideoStream, "frames", counting)
    clip = read_frames(long_video, range(180, 188), 64, index)
    assert [number_on(frame) for frame in clip] == list(range(180, 188))
    assert len(decoded) == 188 - 175


def test_frames_far_apart_are_each_sought(long_video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = build_index(long_video)
    assert [number_on(frame) for frame in read_frames(long_video, [199, 2, 60, 61, 130], None, index)] == [
        199, 2, 60, 61, 130,
    ]  # fmt: skip


def test_an_index_of_another_file_does_no_harm(long_video: str, tmp_path: Path) -> None:
    other = str(encode(tmp_path / "other.mp4", 150, key_frame_every=40, fps=10))
    wrong = build_index(long_video)
    np.testing.assert_array_equal(read_frames(other, [120, 149], 32, wrong), read_frames(other, [120, 149], 32))
    with pytest.raises(UnreadableVideo, match="only 150 frames"):
        read_frames(other, [190], 32, wrong)
    nowhere = FrameIndex(VideoFacts(150, 10.0, 128, 48), (SeekPoint(100, 10**12, 10**12),))
    np.testing.assert_array_equal(read_frames(other, [120], 32, nowhere), read_frames(other, [120], 32))


def test_a_point_that_gives_other_pictures_is_not_kept(long_video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As key frames of a stream that refreshes bit by bit do."""
    sought = frame_index.frames_from

    def shifted(source: VideoStream, point: SeekPoint):
        frames = sought(source, point)
        if point.frame in (50, 125):
            next(frames)
        return frames

    monkeypatch.setattr(frame_index, "frames_from", shifted)
    assert [point.frame for point in build_index(long_video).points] == [25, 75, 100, 150, 175]


def test_timestamps_that_repeat_leave_no_point(long_video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame_index, "stamp_of", lambda frame: min(frame.pts, 20_000))
    assert build_index(long_video).points == ()


def test_a_file_that_breaks_off_has_points_before_the_break(tmp_path: Path) -> None:
    path = encode(tmp_path / "broken.mp4", 100, key_frame_every=15, b_frames=0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    index, whole = build_index(str(path)), read_video(str(path), 32)
    assert index.facts.num_frames == len(whole) < 100
    assert index.points
    for frame in range(len(whole)):
        np.testing.assert_array_equal(read_frames(str(path), [frame], 32, index)[0], whole[frame])


def test_what_does_not_decode_has_no_index(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(UnreadableVideo, match="cannot be opened"):
        build_index(str(tmp_path / "video.mp4"))


def test_an_index_is_made_once_and_kept_beside_the_pool(
    long_video: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(frame_index, "build_index", lambda uri: made.append(uri) or build_index(uri))
    first = IndexStore(str(tmp_path)).of(long_video)
    store = IndexStore(str(tmp_path))
    assert store.of(long_video) == store.of(long_video) == first == build_index(long_video)
    assert made == [long_video]
    assert storage.list_files(str(tmp_path / "index"), ".json")


def test_an_index_of_a_file_that_has_changed_is_made_anew(tmp_path: Path) -> None:
    video = encode(tmp_path / "video.mp4", 40)
    assert IndexStore(str(tmp_path)).of(str(video)).facts.num_frames == 40
    encode(video, 30)
    assert IndexStore(str(tmp_path)).of(str(video)).facts.num_frames == 30


@pytest.mark.parametrize("content", ["{", "[]", '{"format": 1}', '{"format": 1, "state": [], "points": 3}'])
def test_a_damaged_index_is_made_anew(tmp_path: Path, content: str) -> None:
    video = str(encode(tmp_path / "video.mp4", 20))
    IndexStore(str(tmp_path)).of(video)
    (file,) = (tmp_path / "index").iterdir()
    file.write_text(content)
    assert IndexStore(str(tmp_path)).of(video).facts.num_frames == 20


def test_a_pool_that_cannot_be_written_to_is_read_all_the_same(tmp_path: Path) -> None:
    video = str(encode(tmp_path / "video.mp4", 20))
    (tmp_path / "index").write_text("a file where the folder should be")
    assert IndexStore(str(tmp_path)).of(video).facts.num_frames == 20


def real_videos(data: Path) -> list[Path]:
    edge = [file for file in (data / "edge_videos").iterdir() if file.suffix != ".md"]
    clips = sorted((data / "jhmdb21/videos").glob("*/*.avi"))[::75]
    return sorted([*edge, *clips, *(data / "ucf101_24/videos").rglob("*.avi")])


@pytest.mark.data
@pytest.mark.slow
def test_every_frame_of_real_files_is_the_same_however_it_is_read(hybridal_data: Path) -> None:
    files = real_videos(hybridal_data)
    assert len(files) >= 30
    for file in files:
        whole, index = read_video(str(file), 48), build_index(str(file))
        assert index.facts.num_frames == len(whole), file.name
        step = max(1, len(whole) // 100)  # each by itself of the short files, a hundred of the others
        for frame in {*range(0, len(whole), step), *(point.frame for point in index.points), len(whole) - 1}:
            found = read_frames(str(file), [frame], 48, index)[0]
            np.testing.assert_array_equal(found, whole[frame], err_msg=f"{file.name}, frame {frame}")
        np.testing.assert_array_equal(read_frames(str(file), range(len(whole)), 48, index), whole, err_msg=file.name)


def test_the_oracle_tells_frames_apart(long_video: str) -> None:
    with av.open(long_video) as container:
        assert sum(1 for _ in container.decode(video=0)) == 200
    assert [number_on(frame) for frame in read_video(long_video)] == list(range(200))


def write_noise(path: Path, num_frames: int) -> Path:
    """Frames that do not compress, some 100 KiB each, a key frame every ten."""
    generator = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        stream.options = {"crf": "4", "g": "10", "preset": "ultrafast"}
        for _ in range(num_frames):
            noise = generator.integers(0, 256, (240, 320, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, "rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_clip_out_of_an_object_store_is_not_the_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_noise(tmp_path / "noise.mp4", 150)
    index, expected = build_index(str(path)), read_frames(str(path), [104, 107], 64)
    fetched: list[int] = []

    class Store:
        def open_input_file(self, _: str):
            file = path.open("rb")

            class Counting:
                def read(self, size: int) -> bytes:
                    fetched.append(size)
                    return file.read(size)

                def seek(self, offset: int, whence: int = 0) -> int:
                    return file.seek(offset, whence)

                def tell(self) -> int:
                    return file.tell()

            return Counting()

    monkeypatch.setattr(storage, "filesystem", lambda uri: (Store(), uri))
    np.testing.assert_array_equal(read_frames("s3://bucket/noise.mp4", [104, 107], 64, index), expected)
    assert sum(fetched) < path.stat().st_size / 3
    linear = sum(fetched)
    read_frames("s3://bucket/noise.mp4", [104, 107], 64)
    assert sum(fetched) - linear > path.stat().st_size / 2
