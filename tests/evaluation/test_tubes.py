"""Oracles: tracks laid by hand, linking as a loop over all tubes there ever were, and tube IoU from dictionaries."""

import brute_force
import numpy as np
import pytest

from hybridal_ray.evaluation.boxes import iou_matrix
from hybridal_ray.evaluation.tubes import FrameDetections, link_tubes, tube_overlap

SETTINGS = {"link_iou": 0.3, "max_gap": 2, "min_tube_frames": 3}


def frame(*boxes, objectness=None, classes=None):
    count = len(boxes)
    return FrameDetections(
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.full(count, 0.8) if objectness is None else np.array(objectness),
        np.tile([0.5, 0.5], (count, 1)) if classes is None else np.array(classes),
    )


def square(x, y=0.0, side=10.0):
    return x, y, x + side, y + side


def test_two_actors_that_cross_the_order_of_boxes_become_two_tubes():
    frames = [frame(square(t), square(50 - t)) if t % 2 else frame(square(50 - t), square(t)) for t in range(6)]
    tubes = link_tubes(frames, **SETTINGS)
    assert [tube.boxes[:, 0].tolist() for tube in tubes] == [[50 - t for t in range(6)], list(range(6))]


def test_gap_is_filled_by_interpolation_and_the_class_is_the_mean_over_detected_boxes():
    empty = frame()
    frames = [
        frame(square(0), objectness=[0.6], classes=[[1.0, 0.0]]),
        empty,
        empty,
        frame(square(3), objectness=[0.9], classes=[[0.2, 0.8]]),
    ]
    (tube,) = link_tubes(frames, **SETTINGS)
    assert tube.frames.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(tube.boxes, [square(0), square(1), square(2), square(3)])
    np.testing.assert_allclose(tube.objectness, [0.6, 0.7, 0.8, 0.9])
    np.testing.assert_allclose(tube.class_probabilities, [0.6, 0.4])


def test_a_longer_gap_ends_the_tube():
    frames = [frame(square(0))] * 3 + [frame()] * 3 + [frame(square(0))] * 3
    assert [tube.frames.tolist() for tube in link_tubes(frames, **SETTINGS)] == [[0, 1, 2], [6, 7, 8]]


def test_short_tubes_are_dropped_unless_the_video_is_as_short():
    two = [frame(square(0))] * 2
    assert link_tubes([*two, frame()], **SETTINGS) == []
    assert [tube.frames.tolist() for tube in link_tubes(two, **SETTINGS)] == [[0, 1]]
    assert [tube.frames.tolist() for tube in link_tubes(two[:1], **SETTINGS)] == [[0]]


def test_a_tube_takes_the_box_of_greatest_overlap_and_score_and_one_box_only():
    near_but_weak, far_but_strong = square(1), square(4)  # IoU 0.818 and 0.429 with the box before
    first = frame(square(0), objectness=[0.9])
    follow = frame(near_but_weak, far_but_strong, objectness=[0.3, 0.6])
    tubes = link_tubes([first, follow], link_iou=0.3, max_gap=0, min_tube_frames=1)
    assert [tube.boxes[:, 0].tolist() for tube in tubes] == [[0, 1], [4]]
    follow = frame(near_but_weak, far_but_strong, objectness=[0.3, 0.8])
    tubes = link_tubes([first, follow], link_iou=0.3, max_gap=0, min_tube_frames=1)
    assert [tube.boxes[:, 0].tolist() for tube in tubes] == [[0, 4], [1]]


def test_ties_go_to_the_older_tube_and_the_earlier_box():
    twins = frame(square(0), square(0))
    tubes = link_tubes([twins, frame(square(0))], link_iou=0.3, max_gap=0, min_tube_frames=1)
    assert [tube.frames.tolist() for tube in tubes] == [[0, 1], [0]]


def test_no_frame_and_no_box_give_no_tube():
    assert link_tubes([], **SETTINGS) == []
    assert link_tubes([frame()] * 5, **SETTINGS) == []


def test_no_box_is_lost_or_used_twice():
    rng = np.random.default_rng(7)
    frames = []
    for _ in range(12):
        corners = rng.uniform(0, 30, (rng.integers(0, 5), 2))
        frames.append(frame(*[square(x, y) for x, y in corners]))
    tubes = link_tubes(frames, link_iou=0.2, max_gap=0, min_tube_frames=1)
    linked = sorted((int(f), *box) for tube in tubes for f, box in zip(tube.frames, tube.boxes, strict=True))
    given = sorted((f, *box) for f, detections in enumerate(frames) for box in detections.boxes)
    np.testing.assert_allclose(linked, given)


def linked_by_loops(frames, link_iou, max_gap):
    """The frames and boxes of every tube, by first frame."""
    tubes = []
    for number, found in enumerate(frames):
        energies = {}
        for place, of_tube in enumerate(tubes):
            last, box = of_tube[-1]
            for index, other in enumerate(found.boxes):
                iou = iou_matrix(box[None], other[None])[0, 0]
                if number - last - 1 <= max_gap and iou >= link_iou:
                    energies[place, index] = iou + found.objectness[index]
        joins = {}
        while energies:
            place, index = max(energies, key=lambda pair: (energies[pair], -pair[0], -pair[1]))
            joins[index] = place
            energies = {pair: energy for pair, energy in energies.items() if pair[0] != place and pair[1] != index}
        for index, box in enumerate(found.boxes):
            if index in joins:
                tubes[joins[index]].append((number, box))
            else:
                tubes.append([(number, box)])
    return tubes


@pytest.mark.parametrize("max_gap", [0, 1, 3])
@pytest.mark.parametrize("seed", range(15))
def test_tubes_that_end_and_begin_are_those_of_the_loops(seed, max_gap):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(40):
        corners = rng.integers(0, 12, (rng.integers(0, 4), 2))
        frames.append(frame(*[square(x, y) for x, y in corners], objectness=rng.integers(1, 4, len(corners)) / 4))
    expected = linked_by_loops(frames, 0.4, max_gap)
    tubes = link_tubes(frames, link_iou=0.4, max_gap=max_gap, min_tube_frames=1)
    assert len(tubes) == len(expected) > 5
    for tube, boxes in zip(tubes, expected, strict=True):
        assert (tube.frames[0], tube.frames[-1]) == (boxes[0][0], boxes[-1][0])
        for number, box in boxes:
            np.testing.assert_allclose(tube.boxes[number - tube.frames[0]], box)


@pytest.mark.parametrize("seed", range(30))
def test_tube_overlap_is_temporal_iou_times_mean_spatial_iou(seed):
    rng = np.random.default_rng(seed)
    tracks = []
    for _ in range(2):
        frames = np.sort(rng.choice(8, rng.integers(1, 8), replace=False))
        low = rng.uniform(0, 5, (len(frames), 2))
        tracks.append((frames, np.concatenate([low, low + rng.uniform(1, 6, (len(frames), 2))], axis=1)))
    (f1, b1), (f2, b2) = tracks
    expected = brute_force.tube_iou(dict(zip(f1.tolist(), b1, strict=True)), dict(zip(f2.tolist(), b2, strict=True)))
    assert tube_overlap(f1, b1, f2, b2) == pytest.approx(expected)
