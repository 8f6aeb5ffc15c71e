"""Oracle: the rows that `detect_video` gives for each video alone."""

import pyarrow.parquet as pq
import pytest
import torch
from bright_detector import BrightDetector, moving_squares, write_video

from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.detecting import DetectionSettings, detect_video
from hybridal_ray.evaluation.predicting import predict_videos
from hybridal_ray.pool.tables import Video

SPEC = DetectorSpec("bright_detector:BrightDetector", 2, 64, 4, 2)


@pytest.fixture
def videos(tmp_path):
    made = []
    for length in (9, 12):
        file = tmp_path / f"{length}.mp4"
        write_video(file, moving_squares(length)[0])
        made.append(Video(file.name, str(file), "test", file.name, length, 128, 96))
    save_detector(str(tmp_path / "checkpoint"), SPEC, {}, None)
    return made


def predict(tmp_path, videos, **settings):
    return predict_videos(
        videos,
        str(tmp_path / "checkpoint"),
        str(tmp_path / "out" / "predictions.parquet"),
        num_classes=None,
        settings=DetectionSettings(**settings),
        plan=ActorPlan(actors=0, device="cpu", videos_per_chunk=1),
    )


def test_one_file_holds_the_rows_of_every_video_that_decodes(videos, tmp_path):
    gone = Video("gone.mp4", str(tmp_path / "gone.mp4"), "test", "gone", 5, 128, 96)
    told = predict(tmp_path, [*videos, gone])
    expected = [
        row
        for video in videos
        for row in detect_video(BrightDetector(), SPEC, video, device=torch.device("cpu"), settings=DetectionSettings())
    ]
    rows = pq.read_table(tmp_path / "out" / "predictions.parquet").to_pylist()
    keys = ("video_id", "tube_id", "class_id", "frame")
    assert sorted(tuple(row[key] for key in keys) for row in rows) == sorted(
        tuple(row[key] for key in keys) for row in expected
    )
    assert told["rows"] == len(expected)
    assert list(told["failed"]) == ["gone.mp4"]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["predictions.parquet"]


def test_other_settings_write_anew(videos, tmp_path):
    assert predict(tmp_path, videos)["rows"] > 0
    assert predict(tmp_path, videos, mask_threshold=0.99999)["rows"] == 0


def test_no_video_that_decodes_is_an_error(tmp_path, videos):
    (tmp_path / videos[0].video_id).unlink()
    with pytest.raises(UserError, match="all 1 videos failed"):
        predict(tmp_path, videos[:1])
