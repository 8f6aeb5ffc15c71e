"""Oracles: tubes laid by hand, and the rule written as a loop over all pairs."""

import numpy as np
import pytest

from hybridal_ray.evaluation import tube_pruning
from hybridal_ray.evaluation.detecting import DetectionSettings, video_tubes
from hybridal_ray.evaluation.tube_pruning import score_tube, suppress_tubes, trim_tube
from hybridal_ray.evaluation.tubes import FrameDetections, Tube, tube_overlap

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


@pytest.mark.parametrize("iou", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("seed", range(20))
def test_the_same_tubes_stay_as_when_every_pair_is_compared(seed, iou):
    rng = np.random.default_rng(seed)
    tubes = [
        tube(rng.integers(1, 4, rng.integers(1, 6)) / 4, start=rng.integers(0, 12), x=rng.integers(0, 12))
        for _ in range(20)
    ]
    kept = []
    for index in sorted(range(20), key=lambda k: (-tubes[k].objectness.mean(), k)):
        own = tubes[index]
        if all(tube_overlap(own.frames, own.boxes, other.frames, other.boxes) <= iou for _, other in kept):
            kept.append((index, own))
    assert suppress_tubes(tubes, iou, "mean") == [each for _, each in sorted(kept, key=lambda pair: pair[0])]


def test_tubes_apart_in_time_are_not_compared_box_by_box(monkeypatch):
    compared = []
    monkeypatch.setattr(tube_pruning, "tube_overlap", lambda *pair: compared.append(pair) or tube_overlap(*pair))
    row = [tube([0.5] * 4, start=4 * k) for k in range(50)]
    assert suppress_tubes([*row, tube([0.4] * 4, start=1)], 0.5, "mean") == row
    assert len(compared) <= 2  # the last with the two that it shares frames with


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
