"""Oracles: slices of the picture enlarged by repetition, and scipy's interpolation of its pixels."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hybridal_ray.training.cropping import crop_clips

SIDE = 8


def made_up(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    clips = torch.rand(2, 3, 2, SIDE, SIDE, generator=generator) * 2 - 1
    instances = torch.randint(0, 3, (2, 2, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return clips, instances, torch.rand(2, 2, SIDE, SIDE, generator=generator)


def test_the_whole_picture_stays_as_it_is() -> None:
    arguments = made_up()
    cropped = crop_clips(*arguments, torch.tensor([[0.0, 0.0, 1.0]] * 2))
    for before, after in zip(arguments, cropped, strict=True):
        assert after.dtype == before.dtype
        torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def test_a_quarter_of_the_picture_is_enlarged_to_the_whole_each_clip_its_own() -> None:
    clips, instances, weights = made_up()
    _, maps, of_maps = crop_clips(clips, instances, weights, torch.tensor([[0.5, 0.0, 0.5], [0.25, 0.5, 0.5]]))
    parts = [np.s_[:, 0:4, 4:8], np.s_[:, 4:8, 2:6]]
    for clip, part in enumerate(parts):
        for before, after in ((instances, maps), (weights, of_maps)):
            enlarged = np.kron(before[clip].numpy()[part], np.ones((1, 2, 2)))
            np.testing.assert_allclose(after[clip].numpy(), enlarged)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.4, 1.0), st.floats(0, 1), st.floats(0, 1), st.integers(0, 5))
def test_pixels_are_interpolated_where_the_part_samples_them(side: float, x: float, y: float, seed: int) -> None:
    clips, instances, weights = made_up(seed)
    left, top = (1 - side) * x, (1 - side) * y
    pixels, _, _ = crop_clips(clips, instances, weights, torch.tensor([[left, top, side]] * 2))
    centres = (np.arange(SIDE) + 0.5) / SIDE
    rows, columns = ((start + centres * side) * SIDE - 0.5 for start in (top, left))
    at = np.meshgrid(rows, columns, indexing="ij")
    expected = ndimage.map_coordinates(clips[1, 2, 1].numpy().astype(float), at, order=1, mode="nearest")
    np.testing.assert_allclose(pixels[1, 2, 1].numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_precision_of_the_pixels_is_kept(dtype: torch.dtype) -> None:
    clips, instances, weights = made_up()
    assert crop_clips(clips.to(dtype), instances, weights, torch.tensor([[0.1, 0.1, 0.8]] * 2))[0].dtype == dtype
