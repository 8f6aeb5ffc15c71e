"""Oracle: videos whose actors a detector without weights sees exactly, and a copy of them that cannot be decoded."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from bright_detector import CLASSES, moving_squares, write_video

from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.evaluator import evaluate_checkpoint, read_predictions
from hybridal_ray.pool.tables import TUBES_SCHEMA, Video


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    """Three videos, their truth, and the checkpoint of a detector that finds them."""
    folder = tmp_path_factory.mktemp("evaluator")
    videos, rows = [], []
    for index, num_frames in enumerate((10, 12, 16)):
        video_id = f"v{index}"
        frames, truth = moving_squares(num_frames)
        write_video(folder / f"{video_id}.mp4", frames)
        videos.append(Video(video_id, str(folder / f"{video_id}.mp4"), "test", video_id, num_frames, 128, 96))
        rows += [row | {"video_id": video_id} for row in truth]
    checkpoint = str(folder / "checkpoint")
    save_detector(checkpoint, DetectorSpec("bright_detector:BrightDetector", 2, 64, 4, 2), {}, None)
    return videos, pa.Table.from_pylist(rows, TUBES_SCHEMA), checkpoint


def evaluate(squares, out_dir, *, actors=0, classes=CLASSES, videos=None, progress=None, labelled=None):
    known, truth, checkpoint = squares
    return evaluate_checkpoint(
        known if videos is None else videos,
        truth,
        classes,
        checkpoint,
        str(out_dir),
        settings=DetectionSettings(),
        plan=ActorPlan(actors=actors, device="cpu", videos_per_chunk=2, seconds_per_video=60),
        labelled=labelled,
        progress=progress,
    )


def test_what_is_found_where_nobody_looked_is_not_false(squares, tmp_path):
    videos, truth, checkpoint = squares
    seen = truth.filter(pc.less(truth["frame"], 6))
    blamed = evaluate((videos, seen, checkpoint), tmp_path / "blamed")
    labelled = {video.video_id: list(range(6)) for video in videos}
    fair = evaluate((videos, seen, checkpoint), tmp_path / "fair", labelled=labelled)
    assert blamed["frame_map@0.5"] < 0.9
    assert fair["frame_map@0.5"] == fair["video_map@0.5"] == 1.0


def test_a_detector_that_sees_everything_scores_one(squares, tmp_path):
    told = []
    metrics = evaluate(squares, tmp_path, progress=lambda done, total: told.append((done, total)))
    assert metrics["frame_map@0.5"] == metrics["video_map@0.5"] == metrics["tube_class_accuracy"] == 1.0
    assert metrics["failures"] == {}
    assert told[-1] == (3, 3)
    assert json.loads((tmp_path / "metrics.json").read_text()) == metrics
    assert set(read_predictions(str(tmp_path))["video_id"].to_pylist()) == {"v0", "v1", "v2"}


def test_an_unreadable_video_is_named_and_counts_as_missed(squares, tmp_path):
    videos, _, _ = squares
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with_broken = [*videos[:2], Video("v2", str(broken), "test", "v2", 16, 128, 96)]
    metrics = evaluate(squares, tmp_path / "out", videos=with_broken)
    assert list(metrics["failures"]) == ["v2"]
    assert str(broken) in metrics["failures"]["v2"]
    assert metrics["per_class"]["red"]["video_ap@0.5"] == pytest.approx(2 / 3)
    assert metrics["per_class"]["red"]["frame_ap@0.5"] == pytest.approx((10 + 12) / (10 + 12 + 16))


def test_a_pass_that_was_cut_off_goes_on(squares, tmp_path):
    first = evaluate(squares, tmp_path)
    parts = sorted((tmp_path / "predictions").glob("*.parquet"))
    assert len(parts) == 2
    untouched, written = parts[0].stat().st_mtime_ns, parts[1].read_bytes()
    parts[1].unlink()
    assert evaluate(squares, tmp_path) == first
    assert parts[0].stat().st_mtime_ns == untouched
    assert parts[1].read_bytes() == written


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_actors_find_what_one_process_finds(squares, tmp_path):
    assert evaluate(squares, tmp_path / "actors", actors=2) == evaluate(squares, tmp_path / "here")
    assert read_predictions(str(tmp_path / "actors")) == read_predictions(str(tmp_path / "here"))


def test_what_cannot_be_evaluated_is_refused_in_one_message(squares, tmp_path):
    videos, _, _ = squares
    stranger = Video("x", videos[0].uri, "test", "x", 10, 128, 96)
    with pytest.raises(UserError, match="none of the 1 videos"):
        evaluate(squares, tmp_path / "truth", videos=[stranger])
    with pytest.raises(UserError, match="2 classes, expected the 3"):
        evaluate(squares, tmp_path / "classes", classes=(*CLASSES, "blue"))
    gone = [Video("v0", str(tmp_path / "gone.mp4"), "test", "v0", 10, 128, 96)]
    with pytest.raises(UserError, match=r"all 1 videos failed, v0 with: .*gone\.mp4"):
        evaluate(squares, tmp_path / "gone", videos=gone)
