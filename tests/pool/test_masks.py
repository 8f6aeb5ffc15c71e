"""Oracles: run lengths counted pixel by pixel down the columns; pycocotools' own decoder; box edges by loop."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco

from hybridal_ray.pool.masks import box_of_mask, decode_mask, encode_mask

MASKS = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12))


def runs_by_loop(mask: np.ndarray) -> list[int]:
    """Lengths of the runs of background, actor, background, … down the columns, left to right."""
    runs, current = [0], False
    for x in range(mask.shape[1]):
        for y in range(mask.shape[0]):
            if mask[y, x] != current:
                runs.append(0)
                current = not current
            runs[-1] += 1
    return runs


@given(MASKS)
def test_counts_are_the_column_major_runs(mask: np.ndarray) -> None:
    height, width = mask.shape
    uncompressed = {"size": [height, width], "counts": runs_by_loop(mask)}
    assert encode_mask(mask) == coco.frPyObjects(uncompressed, height, width)["counts"].decode()


@given(MASKS)
def test_decoding_undoes_encoding(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_mask(encode_mask(mask), *mask.shape), mask)


@settings(deadline=None)
@given(st.integers(1, 70), st.integers(1, 70), st.floats(0, 1), st.integers(0, 2**32 - 1))
def test_decoding_agrees_with_pycocotools(height: int, width: int, density: float, seed: int) -> None:
    mask = np.asfortranarray(np.random.default_rng(seed).random((height, width)) < density, dtype=np.uint8)
    encoded = coco.encode(mask)
    decoded = decode_mask(encoded["counts"].decode(), height, width)
    np.testing.assert_array_equal(decoded, coco.decode(encoded))


def test_runs_longer_than_two_digits_survive() -> None:
    mask = np.zeros((1080, 1920), dtype=bool)
    mask[200:900, 300:1500] = True
    np.testing.assert_array_equal(decode_mask(encode_mask(mask), 1080, 1920), mask)


@pytest.mark.parametrize("layout", [np.ascontiguousarray, np.asfortranarray])
def test_the_memory_layout_does_not_count(layout: object) -> None:
    assert callable(layout)
    mask = np.arange(15).reshape(3, 5) % 4 == 0
    assert encode_mask(layout(mask)) == encode_mask(mask)
    np.testing.assert_array_equal(decode_mask(encode_mask(layout(mask)), 3, 5), mask)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (4, 4), (3, 5)])
def test_counts_of_another_size_are_refused(height: int, width: int) -> None:
    counts = encode_mask(np.ones((4, 5), dtype=bool))
    with pytest.raises(ValueError, match=f"cover 20 pixels, expected {height} × {width}"):
        decode_mask(counts, height, width)


@pytest.mark.parametrize("counts", ["", "P", "hello world", "ü", "\x00"])
def test_what_is_not_run_lengths_is_refused(counts: str) -> None:
    with pytest.raises(ValueError, match=r"run lengths|ascii"):
        decode_mask(counts, 4, 5)


@given(MASKS)
def test_the_box_is_the_smallest_that_holds_every_pixel(mask: np.ndarray) -> None:
    pixels = [(x, y) for y in range(mask.shape[0]) for x in range(mask.shape[1]) if mask[y, x]]
    if not pixels:
        assert box_of_mask(mask) is None
        return
    xs, ys = zip(*pixels, strict=True)
    assert box_of_mask(mask) == (min(xs), min(ys), max(xs) + 1, max(ys) + 1)
