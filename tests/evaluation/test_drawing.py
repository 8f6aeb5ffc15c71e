"""Oracle: the colours of single pixels on and off the lines."""

import numpy as np

from hybridal_ray.evaluation.drawing import DASH_PIXELS, PREDICTED, TRUE, best_class_of_each_tube, draw_detections

CLASSES = ("jump", "run")


def row(x1, y1, x2, y2, *, class_id=0, tube="a", score=0.5):
    return {"tube_id": tube, "class_id": class_id, "score": score, "x1": x1, "y1": y1, "x2": x2, "y2": y2}


def pixels_of(picture, colour):
    return np.all(picture == np.array(colour, np.uint8), axis=-1)


def test_without_boxes_the_frame_is_unchanged():
    frame = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    np.testing.assert_array_equal(draw_detections(frame, [], [], CLASSES), frame)


def test_predicted_boxes_are_solid_and_true_boxes_dashed():
    frame = np.zeros((120, 160, 3), np.uint8)
    picture = draw_detections(frame, [row(10, 10, 110, 60)], [row(20, 30, 140, 110)], CLASSES)
    assert picture.shape == frame.shape
    assert picture.dtype == np.uint8
    predicted, true = pixels_of(picture, PREDICTED), pixels_of(picture, TRUE)
    assert predicted[59, 10:110].all()  # the last row of the box
    assert not predicted[60:].any()
    assert not predicted[:, 110:].any()
    right_side = true[30:110, 139]
    expected = np.arange(80) % (2 * DASH_PIXELS) < DASH_PIXELS
    np.testing.assert_array_equal(right_side, expected)
    assert not true[:, 140:].any()
    assert not frame.any()


def test_only_the_best_class_of_a_tube_is_drawn():
    rows = [row(0, 0, 5, 5, class_id=0, score=0.2), row(0, 0, 5, 5, class_id=1, score=0.7)]
    other = row(0, 0, 5, 5, tube="b", score=0.4)
    assert best_class_of_each_tube([*rows, other]) == [other, rows[1]]


def test_labels_stay_inside_and_boxes_may_leave_the_picture():
    frame = np.zeros((50, 80, 3), np.uint8)
    picture = draw_detections(frame, [row(70, -20, 120, 90)], [], CLASSES)
    assert picture.shape == frame.shape
    assert pixels_of(picture, PREDICTED)[:8, 40:70].any()  # the label is moved to the left of the box's corner


def test_scale_enlarges_picture_and_boxes():
    frame = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    np.testing.assert_array_equal(draw_detections(frame, [], [], CLASSES, scale=3)[::3, ::3], frame)
    dark = draw_detections(np.zeros_like(frame), [row(0, 0, 30, 20)], [], CLASSES, scale=4)
    assert dark.shape == (80, 120, 3)
    assert pixels_of(dark, PREDICTED)[79].all()
