"""Pictures of a request, decoded again. Oracle: the frames of `read_video`, and clips cut out of them by slicing."""

import io
from pathlib import Path

import av
import numpy as np
import pytest

from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoding import read_video
from hybridal_ray.pool.demo.writing import encode_h264
from hybridal_ray.requests.pictures import CLIP_SIDE, Shot, encode_png, film_frame, shot_around, take_shots


def decoded(content: bytes, expected_fps: float | None = None) -> np.ndarray:
    with av.open(io.BytesIO(content)) as container:
        stream = container.streams.video[0]
        if expected_fps is not None:
            assert float(stream.average_rate) == pytest.approx(expected_fps, rel=1e-3)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(stream)])


@pytest.fixture
def video(tmp_path: Path) -> tuple[str, np.ndarray]:
    """40 frames of 48×64 pixels, each brighter than the one before."""
    frames = np.broadcast_to((np.arange(40) * 6)[:, None, None, None], (40, 48, 64, 3)).astype(np.uint8)
    file = tmp_path / "v.mp4"
    file.write_bytes(encode_h264(np.ascontiguousarray(frames), 25))
    return str(file), read_video(str(file))


def test_images_are_exact_and_clips_show_what_is_around(video: tuple[str, np.ndarray]) -> None:
    uri, frames = video
    shots = {
        name: shot_around(frame, 40, 25.0, seconds=0.4) for name, frame in (("x", 39), ("y", 0), ("z", 3), ("u", 3))
    }
    taken = {name: (png, clip) for name, png, clip in take_shots(uri, shots, 25.0)}
    assert set(taken) == set(shots)
    for name, (png, clip) in taken.items():
        shot = shots[name]
        assert np.array_equal(decoded(png)[0], frames[shot.frame])
        film = decoded(clip, 25.0)
        assert len(film) == shot.stop - shot.start
        assert np.abs(film.mean(axis=(1, 2, 3)) - frames[shot.start : shot.stop].mean(axis=(1, 2, 3))).max() < 4


def test_where_a_clip_begins_and_ends() -> None:
    assert shot_around(50, 100, 10.0, seconds=4) == Shot(50, 30, 71)
    assert shot_around(5, 100, 10.0, seconds=4) == Shot(5, 0, 26)
    assert shot_around(99, 100, 10.0, seconds=4) == Shot(99, 79, 100)
    assert shot_around(50, 100, 0.0, seconds=4) == Shot(50, 0, 100)  # 25 a second where none is stated


def test_a_video_shorter_than_told_gives_what_it_has(video: tuple[str, np.ndarray]) -> None:
    uri, frames = video
    shots = {"in": Shot(38, 30, 60), "out": Shot(45, 30, 60)}
    ((name, png, clip),) = take_shots(uri, shots, 25.0)
    assert name == "in"
    assert np.array_equal(decoded(png)[0], frames[38])
    assert len(decoded(clip)) == 10


def test_what_does_not_decode_is_told(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableVideo):
        list(take_shots(str(tmp_path / "v.mp4"), {"a": Shot(0, 0, 2)}, 25.0))


@pytest.mark.parametrize("shape", [(48, 64), (49, 65), (2000, 1000), (1, 3)])
def test_sides_of_a_clip_are_even_and_bounded(shape: tuple[int, int]) -> None:
    frame = film_frame(np.zeros((*shape, 3), np.uint8))
    assert frame.width % 2 == frame.height % 2 == 0
    assert max(frame.width, frame.height) <= CLIP_SIDE
    picture = np.arange(shape[0] * shape[1] * 3).reshape(*shape, 3).astype(np.uint8)
    assert np.array_equal(decoded(encode_png(picture))[0], picture)
