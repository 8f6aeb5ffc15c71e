"""Oracles: loops over pixels and pairs, and regions drawn by hand."""

import brute_force
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.evaluation.boxes import boxes_of_components, iou_matrix, non_maximum_suppression


def random_boxes(rng, count, size=20):
    corners = rng.integers(0, size, (count, 2, 2))
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float64)


@pytest.mark.parametrize("seed", range(20))
def test_iou_is_that_of_counted_pixels(seed):
    rng = np.random.default_rng(seed)
    first, second = random_boxes(rng, 4), random_boxes(rng, 3)

    def pixels(box):
        x1, y1, x2, y2 = box.astype(int)
        return {(x, y) for x in range(x1, x2) for y in range(y1, y2)}

    for i, row in enumerate(iou_matrix(first, second)):
        for j, value in enumerate(row):
            a, b = pixels(first[i]), pixels(second[j])
            assert value == pytest.approx(len(a & b) / len(a | b) if a | b else 0.0)


def test_iou_of_no_boxes_has_no_rows():
    assert iou_matrix(np.empty((0, 4)), np.ones((3, 4))).shape == (0, 3)


def test_components_are_boxed_with_their_mean_probability():
    probabilities = np.full((8, 10), 0.1)
    probabilities[1:3, 2:5] = 0.9
    probabilities[1, 2] = 0.6
    probabilities[5:8, 6:10] = 0.7
    found = boxes_of_components(probabilities, threshold=0.5, min_area=1)
    np.testing.assert_array_equal(found.boxes, [[2, 1, 5, 3], [6, 5, 10, 8]])
    np.testing.assert_allclose(found.objectness, [(5 * 0.9 + 0.6) / 6, 0.7])
    np.testing.assert_array_equal(found.masks.any(axis=0), probabilities > 0.5)
    assert found.masks.sum(axis=(1, 2)).tolist() == [6, 12]


def test_pixels_that_touch_at_a_corner_are_one_component():
    found = boxes_of_components(np.eye(3), threshold=0.5, min_area=1)
    np.testing.assert_array_equal(found.boxes, [[0, 0, 3, 3]])


def test_small_components_and_the_threshold_itself_are_left_out():
    probabilities = np.zeros((6, 6))
    probabilities[0, :3] = 1.0
    probabilities[3, :4] = 1.0
    probabilities[5, :6] = 0.5
    found = boxes_of_components(probabilities, threshold=0.5, min_area=4)
    np.testing.assert_array_equal(found.boxes, [[0, 3, 4, 4]])


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_empty_and_full_maps(value):
    found = boxes_of_components(np.full((4, 5), value), threshold=0.5, min_area=1)
    expected = [[0, 0, 5, 4]] if value else np.empty((0, 4))
    np.testing.assert_array_equal(found.boxes, expected)
    assert found.masks.shape == (len(expected), 4, 5)


@given(st.integers(0, 10_000), st.integers(0, 12), st.sampled_from([0.0, 0.3, 0.5]))
def test_suppression_keeps_what_a_loop_keeps(seed, count, limit):
    rng = np.random.default_rng(seed)
    boxes, scores = random_boxes(rng, count, size=6), rng.integers(0, 4, count) / 4
    kept = []
    for index in sorted(range(count), key=lambda index: (-scores[index], index)):
        if all(brute_force.iou(boxes[index], boxes[other]) <= limit for other in kept):
            kept.append(index)
    assert non_maximum_suppression(boxes, scores, limit).tolist() == kept
