"""Oracles: tubes laid by hand."""

import numpy as np
import pytest

from hybridal_ray.evaluation.detecting import DetectionSettings, video_tubes
from hybridal_ray.evaluation.tube_pruning import score_tube, suppress_tubes, trim_tube
from hybridal_ray.evaluation.tubes import FrameDetections, Tube

OBJECTNESS = [0.2, 0.6, 0.9, 0.3, 0.8, 0.4]


def tube(objectness, start=0, x=0.0):
    count = len(objectness)
    boxes = np.tile([x, 0.0, x + 10, 10.0], (count, 1))
    return Tube(np.arange(start, start + count), boxes, np.array(objectness), np.array([0.5, 0.5]))


@pytest.mark.parametrize(("how", "score"), [("mean", 3.2 / 6), ("max", 0.9), ("median", 0.5)])
def test_the_score_is_what_the_setting_says(how, score):
    assert score_tube(np.array(OBJECTNESS), how) == pytest.approx(score)


@pytest.mark.parametrize(
    ("share", "frames"), [(0.0, [0, 1, 2, 3, 4, 5]), (0.4, [1, 2, 3, 4, 5]), (0.5, [1, 2, 3, 4]), (1.0, [2])]
)
def test_weak_ends_are_cut_off_and_weak_boxes_between_are_kept(share, frames):
    trimmed = trim_tube(tube(OBJECTNESS), share)
    assert trimmed.frames.tolist() == frames
    assert trimmed.objectness.tolist() == [OBJECTNESS[frame] for frame in frames]
    assert len(trimmed.boxes) == len(frames)


def test_of_tubes_on_one_another_the_best_stays_and_the_order_too():
    weak, strong, beside = tube([0.5] * 4), tube([0.9] * 4, x=1.0), tube([0.4] * 4, x=50.0)
    assert suppress_tubes([weak, strong, beside], 0.5, "mean") == [strong, beside]
    assert suppress_tubes([weak, strong, beside], 0.9, "mean") == [weak, strong, beside]  # IoU 9/11
    later = tube([0.5] * 4, start=2)  # 2 of 6 frames in common
    assert suppress_tubes([later, strong], 0.5, "mean") == [later, strong]


def test_tubes_of_a_video_pass_through_all_of_it():
    def frame(*objectness):
        boxes = np.array([[50.0 * k, 0.0, 50.0 * k + 10, 10.0] for k in range(len(objectness))]).reshape(-1, 4)
        return FrameDetections(boxes, np.array(objectness), np.full((len(objectness), 2), 0.5))

    frames = [frame(0.9, 0.2), frame(0.9, 0.9), frame(0.9, 0.9), frame(0.9, 0.9), frame(0.9, 0.2)]
    whole = video_tubes(frames, DetectionSettings(min_tube_frames=3))
    assert [found.frames.tolist() for found in whole] == [[0, 1, 2, 3, 4]] * 2
    trimmed = video_tubes(frames, DetectionSettings(min_tube_frames=3, trim=0.5))
    assert [found.frames.tolist() for found in trimmed] == [[0, 1, 2, 3, 4], [1, 2, 3]]
    assert len(video_tubes(frames, DetectionSettings(min_tube_frames=4, trim=0.5))) == 1
