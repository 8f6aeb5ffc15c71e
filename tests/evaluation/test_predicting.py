"""Oracle: the rows that `detect_video` gives for each video alone."""

import pyarrow.parquet as pq
import pytest
import torch
from bright_detector import BrightDetector, moving_squares, write_video

from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation import evaluator
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


def predict(tmp_path, videos, *, out="predictions.parquet", num_classes=None, device="cpu", **settings):
    return predict_videos(
        videos,
        str(tmp_path / "checkpoint"),
        f"{tmp_path}/out/{out}",
        num_classes=num_classes,
        settings=DetectionSettings(**settings),
        plan=ActorPlan(actors=0, device=device, videos_per_chunk=1),
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


@pytest.mark.parametrize("out", ["there", "there/", "not-there/"])
def test_a_directory_is_refused_before_the_pass(videos, tmp_path, out):
    (tmp_path / "out" / "there").mkdir(parents=True)
    (tmp_path / "checkpoint" / "weights.pt").unlink()  # which the pass would stumble over
    with pytest.raises(UserError, match=f"{out}: found a directory, expected the Parquet file to write"):
        predict(tmp_path, videos, out=out)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"device": "foo"}, "'foo' is no device"), ({"num_classes": 3}, "2 classes, expected the 3"), ({}, "weights.pt")],
)
def test_what_is_refused_leaves_nothing_in_the_way_of_a_pass_over_other_videos(videos, tmp_path, wrong, message):
    weights = tmp_path / "checkpoint" / "weights.pt"
    whole = weights.read_bytes()
    if not wrong:
        weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=message):
        predict(tmp_path, videos, **wrong)
    assert not list((tmp_path / "out").iterdir())
    weights.write_bytes(whole)
    assert predict(tmp_path, videos[:1])["rows"] > 0


def test_a_pass_that_was_cut_off_is_kept_to_go_on_with(videos, tmp_path, monkeypatch):
    def cut_off(*_, **__):
        raise RuntimeError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(evaluator, "refuse_total_failure", cut_off)
        with pytest.raises(RuntimeError, match="cut off"):
            predict(tmp_path, videos)
    (parts,) = (tmp_path / "out").iterdir()
    assert len(list(parts.glob("*.parquet"))) == 2
    assert predict(tmp_path, videos, device="foo")["rows"] > 0  # the device is not asked of what is done already
