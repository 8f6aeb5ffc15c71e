"""Oracle: properties of the fitted size; the pixels of a drawn page."""

import io

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hybridal_ray.tracking.sheet import Sheet, fit_size, shorten, tile_height
from hybridal_ray.tracking.style import to_png

sides = st.integers(1, 4000)


@given(sides, sides, st.integers(10, 400), st.integers(10, 400))
def test_fitted_pictures_touch_the_box_and_do_not_leave_it(width: int, height: int, box_w: int, box_h: int) -> None:
    tall, wide = fit_size(width, height, box_w, box_h)
    assert 1 <= tall <= box_h
    assert 1 <= wide <= box_w
    assert tall == box_h or wide == box_w


def test_tiles_take_the_middle_shape_within_bounds() -> None:
    assert tile_height([(320, 240), (320, 240), (100, 400)], 160) == 120
    assert tile_height([(1000, 10)], 160) == 80
    assert tile_height([(10, 1000)], 160) == 200
    assert tile_height([], 160) == 120


@given(st.text(), st.integers(1, 40))
def test_shortened_text_keeps_both_ends(text: str, letters: int) -> None:
    short = shorten(text, letters)
    assert len(short) <= letters
    assert short == text if len(text) <= letters else "…" in short


def test_a_picture_lands_where_it_is_placed() -> None:
    def draw() -> object:
        sheet = Sheet(100, 60)
        sheet.picture(10, 20, 40, 30, np.full((30, 40, 3), (255, 0, 0), np.uint8))
        return sheet.figure

    page = np.asarray(Image.open(io.BytesIO(to_png(draw, dots_per_inch=100))).convert("RGB"))
    assert page.shape == (60, 100, 3)
    red = np.argwhere((page == (255, 0, 0)).all(axis=-1))
    assert np.abs(red.min(axis=0) - (20, 10)).max() <= 1
    assert np.abs(red.max(axis=0) - (49, 49)).max() <= 1
