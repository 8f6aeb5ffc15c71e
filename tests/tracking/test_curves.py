"""Oracle: the data of the lines against the numbers that `synthetic_run` wrote."""

from pathlib import Path

import numpy as np
import pytest

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.curves import learning_curve, loss_history
from hybridal_ray.tracking.run_reader import read_rounds


def test_accuracy_stands_over_labelled_frames(finished_run: Path, squares: Pool) -> None:
    figure = learning_curve(read_rounds(str(finished_run), squares), "test", {"frame_map@0.5": 0.8})
    frame_map, ceiling, video_map = figure.axes[0].get_lines()
    np.testing.assert_allclose(frame_map.get_xydata(), [[4, 0.32], [8, 0.512]])
    np.testing.assert_allclose(video_map.get_xydata(), [[4, 0.28], [8, 0.448]])
    assert set(np.asarray(ceiling.get_ydata())) == {0.8}


def test_the_upper_scale_is_the_share_of_the_pool(finished_run: Path, squares: Pool) -> None:
    figure = learning_curve(read_rounds(str(finished_run), squares), "val")
    assert figure.axes[0].get_title() == "Accuracy on the val split"
    figure.draw_without_rendering()
    (upper,) = figure.axes[0].child_axes
    # 8 training videos of 12 frames: 96 frames are 100 %.
    assert np.array(upper.get_xlim()) == pytest.approx(np.array(figure.axes[0].get_xlim()) * 100 / 96)


def test_rounds_without_evaluation_are_left_out(run: Path, squares: Pool) -> None:
    (run / "rounds/001/evaluate.done.json").unlink()
    (line, _) = learning_curve(read_rounds(str(run), squares), "test").axes[0].get_lines()
    np.testing.assert_allclose(line.get_xydata(), [[4, 0.32]])


def test_losses_that_the_detector_does_not_have_are_left_out() -> None:
    history = [
        {"epoch": e, "loss": 2.0 - e, "mask_loss": 1.0, "clustering_loss": 0.0, "learning_rate": 0.1} for e in (0, 1)
    ]
    losses, rates = loss_history(history, 3).axes
    assert [line.get_label() for line in losses.get_lines()] == ["total", "mask"]
    np.testing.assert_allclose(losses.get_lines()[0].get_ydata(), [2.0, 1.0])
    np.testing.assert_allclose(rates.get_lines()[0].get_ydata(), [0.1, 0.1])
