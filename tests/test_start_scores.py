"""Oracles: latents as they were written down; other weights of an encoder, or other pictures, give other latents."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from small_pool import small_settings, write_small_pool

from hybridal_ray.config import Config, parse_config
from hybridal_ray.config_values import detector_spec
from hybridal_ray.detectors.building import build_detector
from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import read_video
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.appearance import SIDE, appearance_of
from hybridal_ray.scoring.pool_scorer import PoolWorker, read_scores
from hybridal_ray.selection.score_batches import ScoreParts, ScoreTable
from hybridal_ray.start_scores import check_start, read_own_latents, start_scores


def config_of(root: Path, selection: dict[str, Any], **changes: Any) -> Config:
    return parse_config(small_settings(root) | {"selection": selection} | changes, "test")


TYPICAL = {"start_strategy": "typiclust"}


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (
            TYPICAL | {"start_latents": None},
            r"selection\.start_latents: start_strategy 'typiclust' needs latents, found none",
        ),
        (TYPICAL | {"start_latents": "pretrained"}, r"'pretrained', but detector\.pretrained is null"),
        (TYPICAL | {"start_latents": "gone.parquet"}, r"gone\.parquet is not there"),
        ({"start_strategy": "typical"}, r"selection\.start_strategy: no 'typical' is known"),
        (TYPICAL | {"start_options": {"neighbour": 3}}, r"did you mean 'neighbours'"),
    ],
)
def test_a_start_that_cannot_be_made_is_told_before_anything_is_computed(tmp_path, selection, message):
    with pytest.raises(UserError, match=message):
        check_start(config_of(tmp_path, selection))


def test_a_start_without_scores_needs_nothing(tmp_path):
    assert start_scores(config_of(tmp_path, {}), [], 2, str(tmp_path), print, print) is None


def write_latents(path: Path, rows: list[tuple[str, list[float]]]) -> str:
    pq.write_table(pa.table({"video_id": [row[0] for row in rows], "latent": [row[1] for row in rows]}), path)
    return str(path)


class TestOwnLatents:
    @pytest.fixture
    def videos(self, tmp_path) -> list[Video]:
        return write_small_pool(tmp_path / "pool").usable_videos("train")  # v0 and v3

    def test_are_given_to_the_strategy_and_those_of_other_videos_left_out(self, tmp_path, videos):
        write_latents(tmp_path / "own.parquet", [("v3", [1.0, 2.0]), ("v0", [0.5, 0.25]), ("test", [9.0, 9.0])])
        config = config_of(tmp_path, TYPICAL | {"start_latents": "own.parquet"})
        scores = start_scores(config, videos, 2, str(tmp_path / "start"), print, print)
        assert isinstance(scores, ScoreTable)
        rows = {row["video_id"]: row for row in scores.table.to_pylist()}
        assert {name: row["latent"] for name, row in rows.items()} == {"v3": [1.0, 2.0], "v0": [0.5, 0.25]}
        assert rows["v0"]["video_score"] is None

    def test_a_video_without_one_is_told(self, tmp_path, videos):
        told: list[str] = []
        read_own_latents(write_latents(tmp_path / "own.parquet", [("v0", [1.0])]), videos, told.append)
        assert "no latent of 1 of 2 videos" in told[0]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ([("other", [1.0])], "names no video of the pool"),
            ([("v0", [1.0]), ("v0", [2.0])], "'video_id' holds duplicates"),
            ([("v0", [1.0]), ("v3", [2.0, 3.0])], "as many finite numbers"),
            ([("v0", [float("nan")])], "as many finite numbers"),
        ],
    )
    def test_a_file_that_is_not_as_described_is_refused(self, tmp_path, videos, rows, message):
        with pytest.raises(UserError, match=rf"own\.parquet: column .*{message}"):
            read_own_latents(write_latents(tmp_path / "own.parquet", rows), videos, print)


def write_video(path: Path, num_frames: int) -> Video:
    random = np.random.default_rng(num_frames)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(num_frames):
            pixels = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return Video(path.stem, str(path), "train", path.stem, num_frames, 64, 48)


def rows_of(scores: Any) -> list[dict[str, Any]]:
    assert isinstance(scores, ScoreParts)
    return read_scores(scores.directory).to_pylist()


@pytest.fixture(scope="module")
def two_videos(tmp_path_factory: pytest.TempPathFactory) -> list[Video]:
    folder = tmp_path_factory.mktemp("videos")
    return [write_video(folder / f"v{index}.mp4", 9 + index) for index in range(2)]


def test_latents_that_something_else_decided_are_not_gone_on_with(tmp_path, two_videos, monkeypatch):
    """One run directory, start after start. Oracle: a directory of its own for each; one pass is cut off."""
    settings = {"input_size": 32, "options": {"width": 8, "pyramid_width": 8}, "pretrained": "encoder.pt"}

    def latents(root: str, kind: str, weights: int, clip_step: int = 1) -> list[list[float]]:
        scoring = {"actors": 0, "videos_per_chunk": 1, "clip_step": clip_step}
        config = config_of(tmp_path, TYPICAL | {"start_latents": kind}, detector=settings, scoring=scoring)
        torch.manual_seed(weights)
        encoder: Any = build_detector(detector_spec(config, num_classes=3)).encoder
        torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
        return [row["latent"] for row in rows_of(start_scores(config, two_videos, 3, root, print, print))]

    wanted = [("appearance", 1, 1), ("pretrained", 1, 1), ("pretrained", 2, 1), ("pretrained", 2, 2)]
    alone = [latents(str(tmp_path / str(number)), *one) for number, one in enumerate(wanted)]
    process = PoolWorker.process

    def cut_off(worker: PoolWorker, videos: Any) -> Any:
        if videos[0].video_id == two_videos[0].video_id:
            raise KeyboardInterrupt
        return process(worker, videos)

    with monkeypatch.context() as patch:
        patch.setattr(PoolWorker, "process", cut_off)
        for weights in (1, 2):
            with pytest.raises(KeyboardInterrupt):
                latents(str(tmp_path / "one"), "pretrained", weights)
    assert [latents(str(tmp_path / "one"), *one) for one in wanted] == alone
    assert len({str(each) for each in alone}) == len(wanted)


def test_a_pretrained_detector_gives_the_latents_of_its_encoder(tmp_path):
    detector = {"input_size": 32, "options": {"width": 8, "pyramid_width": 8}, "pretrained": "encoder.pt"}
    config = config_of(tmp_path, TYPICAL | {"start_latents": "pretrained"}, detector=detector)
    videos = [write_video(tmp_path / f"v{index}.mp4", 9 + index) for index in range(2)]
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        encoder: Any = build_detector(detector_spec(config, num_classes=3)).encoder
        torch.save(encoder.state_dict(), tmp_path / "encoder.pt")
        root = str(tmp_path / str(seed))
        scores = [start_scores(config, videos, 3, root, print, print) for _ in range(2)]
        assert scores[0] == scores[1]  # the second time it only looks at what is there
        rows = rows_of(scores[0])
        assert [row["video_id"] for row in rows] == ["v0", "v1"]
        found.append(np.array([row["latent"] for row in rows]))
    assert np.isfinite(found).all()
    assert (found[0] != found[1]).any(axis=1).all()  # other weights of the encoder, the same head


def test_what_videos_look_like_serves_a_start_without_any_weights(tmp_path):
    config = config_of(tmp_path, TYPICAL)  # it is what such a start goes by unless told otherwise
    assert check_start(config)
    videos = [write_video(tmp_path / f"v{index}.mp4", 9 + index) for index in range(2)]
    scores = [start_scores(config, videos, 3, str(tmp_path / "start"), print, print) for _ in range(2)]
    assert scores[0] == scores[1]
    for row, video in zip(rows_of(scores[0]), videos, strict=True):
        frames = read_video(video.uri, SIDE)  # fewer than are looked at of a longer one, so all of them
        assert row["latent"] == appearance_of(frames).tolist()
