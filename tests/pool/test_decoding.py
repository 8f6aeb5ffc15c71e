"""Oracles: the index that is drawn on each frame; np.rot90; indexing of the whole decoded video."""

import pickle
from itertools import product
from pathlib import Path

import av
import numpy as np
import pytest
from encoded_videos import HEIGHT, WIDTH, encode, number_on, rotate, show_by
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hybridal_ray.pool.containers import VideoStream
from hybridal_ray.pool.decoding import UnreadableVideo, VideoFacts, iter_frames, probe, read_frames, read_video
from hybridal_ray.pool.frame_index import build_index

NUM_FRAMES = 40


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(encode(tmp_path_factory.mktemp("videos") / "numbered.mp4", NUM_FRAMES))


def test_frames_come_in_the_order_they_are_shown(video: str) -> None:
    assert [number_on(frame) for frame in read_video(video)] == list(range(NUM_FRAMES))


def test_colours_are_red_green_blue(video: str) -> None:
    frame = read_video(video)[0].astype(int)
    np.testing.assert_allclose(frame[HEIGHT // 2 :, 8 : WIDTH // 2 - 8].mean((0, 1)), [255, 0, 0], atol=8)
    np.testing.assert_allclose(frame[HEIGHT // 2 :, WIDTH // 2 + 8 : -8].mean((0, 1)), [0, 0, 255], atol=8)


@pytest.mark.parametrize(("size", "shape"), [(None, (HEIGHT, WIDTH)), (32, (32, 32)), ((24, 64), (24, 64))])
def test_every_way_of_reading_gives_the_same_pixels(video: str, size, shape) -> None:
    whole = read_video(video, size)
    assert whole.dtype == np.uint8
    assert whole.shape == (NUM_FRAMES, *shape, 3)
    np.testing.assert_array_equal(np.stack(list(iter_frames(video, size))), whole)
    np.testing.assert_array_equal(read_frames(video, range(NUM_FRAMES), size), whole)
    assert [number_on(frame) for frame in whole] == list(range(NUM_FRAMES))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=st.lists(st.integers(0, NUM_FRAMES - 1), max_size=6))
def test_frames_are_given_as_asked(video: str, frames: list[int]) -> None:
    read = read_frames(video, frames, (12, 32))
    assert read.shape == (len(frames), 12, 32, 3)
    np.testing.assert_array_equal(read, read_video(video, (12, 32))[np.array(frames, dtype=int)])


def test_indices_may_be_an_array(video: str) -> None:
    assert [number_on(frame) for frame in read_frames(video, np.array([3, 3, 1]))] == [3, 3, 1]


def test_decoding_ends_with_the_last_frame_asked_for(video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []

    def counting(source: VideoStream):
        for index, frame in enumerate(source.stream.container.decode(source.stream)):
            decoded.append(index)
            yield frame

    monkeypatch.setattr(VideoStream, "frames", counting)
    read_frames(video, [5, 2])
    assert decoded == [0, 1, 2, 3, 4, 5]


def test_the_frames_of_a_video_are_counted(video: str) -> None:
    assert probe(video) == VideoFacts(num_frames=NUM_FRAMES, fps=25.0, width=WIDTH, height=HEIGHT)


@pytest.mark.parametrize("quarter_turns", [1, 2, 3])
def test_rotation_is_applied_before_scaling(tmp_path: Path, quarter_turns: int) -> None:
    plain = read_video(str(encode(tmp_path / "plain.mp4", 3)))
    turned = str(rotate(encode(tmp_path / "turned.mp4", 3), quarter_turns))
    expected = np.rot90(plain, -quarter_turns, axes=(1, 2))

    np.testing.assert_array_equal(read_video(turned), expected)
    np.testing.assert_array_equal(read_frames(turned, [2]), expected[[2]])
    facts = probe(turned)
    assert (facts.height, facts.width) == expected.shape[1:3]
    assert read_video(turned, (20, 10)).shape == (3, 20, 10, 3)


@pytest.mark.parametrize("signs", list(product([-1, 1], repeat=2)))
@pytest.mark.parametrize("transposed", [False, True])
def test_mirrored_pictures_are_shown_as_the_container_asks(
    tmp_path: Path, signs: tuple[int, int], transposed: bool
) -> None:
    """Oracle: each pixel moved to the place that the display matrix names, for all eight ways to hold a picture."""
    a, b, c, d = (0, signs[0], signs[1], 0) if transposed else (signs[0], 0, 0, signs[1])
    plain = read_video(str(encode(tmp_path / "plain.mp4", 30, key_frame_every=14)))
    shown = str(show_by(encode(tmp_path / "shown.mp4", 30, key_frame_every=14), a, b, c, d))
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    rows, columns = b * x + d * y, a * x + c * y
    expected = np.zeros((30, *((WIDTH, HEIGHT) if transposed else (HEIGHT, WIDTH)), 3), dtype=np.uint8)
    expected[:, rows - rows.min(), columns - columns.min()] = plain
    np.testing.assert_array_equal(read_video(shown), expected)
    assert (probe(shown).height, probe(shown).width) == expected.shape[1:3]
    index = build_index(shown)
    assert index.points
    np.testing.assert_array_equal(read_frames(shown, [29, 3, 16], index=index), expected[[29, 3, 16]])


def test_a_uri_is_read_like_a_path(video: str) -> None:
    uri = Path(video).as_uri()
    np.testing.assert_array_equal(read_video(uri, 16), read_video(video, 16))
    np.testing.assert_array_equal(read_frames(uri, [7], 16), read_frames(video, [7], 16))
    assert probe(uri) == probe(video)


@pytest.mark.parametrize("name", ["with space.mp4", "a:b.mp4", "%03d.mp4", "#1?.mp4", "ümlaut.mp4"])
def test_names_are_taken_literally(tmp_path: Path, name: str) -> None:
    path = str(encode(tmp_path / name, 2))
    assert probe(path).num_frames == 2


@pytest.fixture(scope="module")
def broken_off(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = encode(tmp_path_factory.mktemp("broken") / "broken.mp4", 60, key_frame_every=10, b_frames=0)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    return str(path)


def test_a_file_that_breaks_off_gives_what_comes_before(broken_off: str) -> None:
    whole = read_video(broken_off)
    assert 10 < len(whole) < 60
    assert [number_on(frame) for frame in whole] == list(range(len(whole)))
    assert probe(broken_off).num_frames == len(whole)
    np.testing.assert_array_equal(read_frames(broken_off, [len(whole) - 1]), whole[-1:])


def test_a_frame_beyond_the_end_is_refused_and_the_frames_there_are_counted(broken_off: str, video: str) -> None:
    num_frames = len(read_video(broken_off))
    with pytest.raises(UnreadableVideo, match=f"frame 59 was asked for, but only {num_frames} frames"):
        read_frames(broken_off, [0, 59])
    with pytest.raises(UnreadableVideo, match=f"frame {NUM_FRAMES} was asked for, but only {NUM_FRAMES} frames"):
        read_frames(video, [NUM_FRAMES])


def test_a_negative_frame_is_a_mistake_of_the_caller(video: str) -> None:
    with pytest.raises(ValueError, match="-1"):
        read_frames(video, [0, -1])


def write_sound(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), dtype=np.float32), "fltp", "mono")
        frame.sample_rate = 16000
        container.mux([*stream.encode(frame), *stream.encode(None)])
    return path


@pytest.mark.parametrize(
    "read", [read_video, probe, lambda uri: list(iter_frames(uri)), lambda uri: read_frames(uri, [0])]
)
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: path, "no such file"),
        (lambda path: path.write_bytes(b"no video" * 100), "cannot be opened"),
        (lambda path: path.touch(), "cannot be opened"),
        (lambda path: path.mkdir(), "cannot be opened"),
        (write_sound, "holds no video stream"),
    ],
)
def test_what_cannot_be_decoded_says_why(tmp_path: Path, make, reason: str, read) -> None:
    path = tmp_path / "video.mp4"
    make(path)
    with pytest.raises(UnreadableVideo, match=reason) as caught:
        read(str(path))
    assert caught.value.uri == str(path)
    assert str(path) not in caught.value.reason


def test_a_file_without_one_whole_frame_is_unreadable(tmp_path: Path) -> None:
    path = encode(tmp_path / "header_only.mp4", 5)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 8])
    with pytest.raises(UnreadableVideo, match="no frame can be decoded"):
        probe(str(path))


@pytest.mark.parametrize("uri", ["nowhere://bucket/video.mp4", "file:///absent/video.mp4"])
def test_an_unreachable_uri_is_unreadable(uri: str) -> None:
    with pytest.raises(UnreadableVideo):
        read_video(uri)


def test_a_store_that_fails_midway_is_no_shorter_video(video: str, monkeypatch: pytest.MonkeyPatch) -> None:
    content = Path(video).read_bytes()

    class FailingStore:
        position = 0

        def open_input_file(self, _: str):
            return self

        def read(self, size: int) -> bytes:
            if self.position > len(content) // 2:
                raise OSError("connection reset")
            part = content[self.position : self.position + min(size, 1024)]
            self.position += len(part)
            return part

    monkeypatch.setattr("hybridal_ray.pool.storage.filesystem", lambda uri: (FailingStore(), uri))
    with pytest.raises(UnreadableVideo, match="cannot be read: connection reset"):
        read_video("s3://bucket/video.mp4")


def test_the_error_crosses_processes() -> None:
    error = pickle.loads(pickle.dumps(UnreadableVideo("s3://bucket/video.mp4", "no such file")))
    assert (error.uri, error.reason) == ("s3://bucket/video.mp4", "no such file")
    assert str(error) == "s3://bucket/video.mp4: no such file"


# As the origins of the files state them; the first is cut after 28 of the 50 frames in its header.
FRAMES_OF = {"decord_corrupted.mp4": 28, "vtest.avi": 795, "torchcodec_h265_video.mp4": 10}


@pytest.mark.data
def test_real_containers_read_alike_in_every_way(hybridal_data: Path) -> None:
    files = sorted(file for file in (hybridal_data / "edge_videos").iterdir() if file.suffix != ".md")
    assert len(files) >= 16
    for file in files:
        whole = read_video(str(file), 48)
        chosen = np.random.default_rng(0).integers(0, len(whole), size=5)
        np.testing.assert_array_equal(read_frames(str(file), chosen, 48), whole[chosen], err_msg=file.name)
        assert len(whole) == FRAMES_OF.get(file.name, len(whole)), file.name


@pytest.mark.data
@pytest.mark.parametrize(("name", "num_frames"), FRAMES_OF.items())
def test_real_containers_are_counted(hybridal_data: Path, name: str, num_frames: int) -> None:
    assert probe(str(hybridal_data / "edge_videos" / name)).num_frames == num_frames


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "height", "width"),
    [
        ("decord_video_0.mov", 320, 568),
        ("decord_video_90.mov", 568, 320),
        ("decord_video_180.mov", 320, 568),
        ("decord_video_270.mov", 568, 320),
        ("cvat_test_rotated_90_video.mp4", 200, 100),
    ],
)
def test_real_rotated_videos_stand_upright(hybridal_data: Path, name: str, height: int, width: int) -> None:
    uri = str(hybridal_data / "edge_videos" / name)
    facts = probe(uri)
    assert (facts.height, facts.width) == (height, width)
    assert read_frames(uri, [0]).shape == (1, height, width, 3)
