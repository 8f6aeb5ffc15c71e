"""Oracle: pixels that are counted."""

import numpy as np
import pytest

from hybridal_ray.evaluation.mask_shares import union_areas


@pytest.mark.parametrize("seed", range(8))
def test_union_areas_are_counted_pixels(seed):
    rng = np.random.default_rng(seed)
    counts = np.array([1, 3, 70, 3, 130, 2])  # more boxes than bits in a word
    corners = rng.integers(0, 40, (counts.sum(), 2, 2))
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1).astype(np.float64)
    expected, start = [], 0
    for count in counts:
        canvas = np.zeros((40, 40), dtype=bool)
        for x1, y1, x2, y2 in boxes[start : start + count].astype(int):
            canvas[y1:y2, x1:x2] = True
        expected.append(canvas.sum())
        start += count
    np.testing.assert_allclose(union_areas(boxes, counts), expected)


def test_of_no_boxes_there_is_no_area():
    assert union_areas(np.empty((0, 4)), np.empty(0, dtype=np.int64)).shape == (0,)
