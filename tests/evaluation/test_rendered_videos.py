"""Oracle: what decodes from the file that was written."""

import av
import numpy as np
import pytest
from bright_detector import CLASSES, moving_squares, write_video
from evaluation_tables import prediction_row, prediction_table, truth_row, truth_table

from hybridal_ray.evaluation.drawing import PREDICTED, TRUE
from hybridal_ray.evaluation.rendering import render_video
from hybridal_ray.pool.tables import Video

BOX = (20.0, 20.0, 60.0, 80.0)


def decoded(file):
    with av.open(str(file)) as container:
        stream = container.streams.video[0]
        return (
            stream.codec_context.name,
            stream.average_rate,
            [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(stream)],
        )


def shows(frame, colour):
    """Whether some pixels are about of that colour: H.264 blurs colours."""
    return int((np.abs(frame - np.array(colour)).max(axis=-1) < 40).sum()) > 50


@pytest.mark.parametrize(("width", "height"), [(128, 96), (99, 71)])
def test_boxes_are_on_their_frames_of_an_h264_video(tmp_path, width, height):
    frames = np.full((6, height, width, 3), 20, dtype=np.uint8)
    write_video(tmp_path / "in.mp4", frames[:, : height // 2 * 2, : width // 2 * 2])
    video = Video("v", str(tmp_path / "in.mp4"), "test", "v", 6, width // 2 * 2, height // 2 * 2)
    predictions = prediction_table([prediction_row(2, BOX, score=0.9), prediction_row(4, BOX, score=0.2)])
    truth = truth_table([truth_row(frame, (70.0, 10.0, 95.0, 60.0)) for frame in (2, 3)])
    out = tmp_path / "out" / "v.mp4"
    render_video(video, predictions, CLASSES, str(out), fps=12.5, truth=truth, min_score=0.5)
    codec, rate, shown = decoded(out)
    assert (codec, float(rate), len(shown)) == ("h264", 12.5, 6)
    assert [shows(frame, PREDICTED) for frame in shown] == [False, False, True, False, False, False]
    assert [shows(frame, TRUE) for frame in shown] == [False, False, True, True, False, False]


def test_small_videos_are_enlarged(tmp_path):
    frames, _ = moving_squares(3)
    write_video(tmp_path / "in.mp4", frames)
    video = Video("v", str(tmp_path / "in.mp4"), "test", "v", 3, 128, 96)
    render_video(video, prediction_table([]), CLASSES, str(tmp_path / "v.mp4"), fps=0.0)
    assert decoded(tmp_path / "v.mp4")[2][0].shape == (480, 640, 3)
