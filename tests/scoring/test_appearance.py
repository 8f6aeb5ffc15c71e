"""Oracles: loops over the pixels of each cell; what was painted; videos of one scene and another."""

from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import read_frames
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.appearance import CELLS, FRAMES, SIDE, appearance_of, describe_pool
from hybridal_ray.scoring.pool_scorer import read_scores

IN_PROCESS = ActorPlan(actors=0)


def random_frames(seed: int, count: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


@given(st.integers(0, 1000), st.integers(1, 5))
def test_it_is_mean_and_deviation_of_each_cell(seed, count):
    frames = random_frames(seed, count)
    means, deviations = [], []
    for row in range(CELLS):
        for column in range(CELLS):
            for channel in range(3):
                seen = [
                    frame[y, x, channel] / 255
                    for frame in frames
                    for y in range(2 * row, 2 * row + 2)
                    for x in range(2 * column, 2 * column + 2)
                ]
                means.append(np.mean(seen))
                deviations.append(np.std(seen))
    assert appearance_of(frames) == pytest.approx(np.array([*means, *deviations]), abs=1e-6)


@given(st.integers(0, 1000))
def test_the_order_of_the_frames_and_how_often_they_come_are_of_no_account(seed):
    frames = random_frames(seed)
    again = np.concatenate([frames[::-1], frames])
    assert appearance_of(again) == pytest.approx(appearance_of(frames), abs=1e-6)


def write_video(path: Path, colours: list[int]) -> Video:
    """A video of grey frames."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for colour in colours:
            pixels = np.full((48, 64, 3), colour, dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return Video(path.stem, str(path), "train", path.stem, len(colours), 64, 48)


class TestDescribePool:
    def test_each_video_has_a_row_in_which_the_latent_alone_is_known(self, tmp_path):
        videos = [write_video(tmp_path / "dark.mp4", [40] * 5), write_video(tmp_path / "light.mp4", [200] * 5)]
        summary = describe_pool(videos, str(tmp_path / "out"), plan=IN_PROCESS)
        rows = read_scores(str(tmp_path / "out")).to_pylist()
        assert (summary.videos, summary.failed) == (2, {})
        assert [row["video_id"] for row in rows] == ["dark", "light"]
        for row, colour in zip(rows, (40, 200), strict=True):
            half = len(row["latent"]) // 2
            assert row["latent"][:half] == pytest.approx([colour / 255] * half, abs=0.02)
            assert row["latent"][half:] == pytest.approx([0.0] * half, abs=0.02)
            assert [name for name, value in row.items() if value is not None] == ["video_id", "latent"]

    def test_the_frames_lie_in_the_middle_of_equal_parts_of_the_video(self, tmp_path):
        # 32 frames make sixteen parts of two; the middle of each is its second frame.
        video = write_video(tmp_path / "v.mp4", [frame * 8 for frame in range(32)])
        describe_pool([video], str(tmp_path / "out"), plan=IN_PROCESS)
        wanted = read_frames(video.uri, range(1, 32, 2), SIDE)
        assert len(wanted) == FRAMES
        (row,) = read_scores(str(tmp_path / "out")).to_pylist()
        assert row["latent"] == appearance_of(wanted).tolist()

    def test_a_video_that_cannot_be_decoded_has_the_reason_in_its_row(self, tmp_path):
        good = write_video(tmp_path / "good.mp4", [10] * 3)
        (tmp_path / "bad.mp4").write_bytes(b"not a video")
        bad = Video("bad", str(tmp_path / "bad.mp4"), "train", "bad", 3, 64, 48)
        summary = describe_pool([good, bad], str(tmp_path / "out"), plan=IN_PROCESS)
        assert list(summary.failed) == ["bad"]
        row = next(row for row in read_scores(str(tmp_path / "out")).to_pylist() if row["video_id"] == "bad")
        assert row["latent"] is None
        assert row["error"]

    def test_a_pool_of_which_nothing_can_be_decoded_is_told(self, tmp_path):
        (tmp_path / "bad.mp4").write_bytes(b"not a video")
        bad = Video("bad", str(tmp_path / "bad.mp4"), "train", "bad", 3, 64, 48)
        with pytest.raises(UserError, match="all 1 videos failed"):
            describe_pool([bad], str(tmp_path / "out"), plan=IN_PROCESS)
