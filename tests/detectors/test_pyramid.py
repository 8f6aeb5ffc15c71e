"""Oracles: interpolation along time in a loop, shares of cells by hand, the same head on maps resampled before."""

import pytest
import torch

from hybridal_ray.detectors.pyramid import PyramidHead, _cell_weights, _to_frames

CHANNELS = [8, 16, 24, 32]


def make_head(num_classes: int = 3, finest_width: int = 8) -> PyramidHead:
    torch.manual_seed(0)
    return PyramidHead(CHANNELS, num_classes, pyramid_width=16, finest_width=finest_width, dropout=0.3).eval()


def levels(clips: int, moments: tuple[int, ...], size: int = 32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [
        torch.randn(clips, t, channels, size // 2**level, size // 2**level, generator=generator)
        for level, (t, channels) in enumerate(zip(moments, CHANNELS, strict=True), start=1)
    ]


@pytest.mark.parametrize("finest_width", [8, 16])
def test_shapes_whatever_the_moments_of_each_level(finest_width: int) -> None:
    output = make_head(5, finest_width)(levels(2, (4, 4, 4, 2)), num_frames=8)
    assert output.mask_logits.shape == (2, 8, 32, 32)
    assert output.class_maps is not None
    assert output.class_maps.shape == (2, 5, 8, 4, 4)
    assert output.class_scores.shape == (2, 5)
    assert output.latent.shape == (2, 32 + 16)
    assert all((output.mask_logits[:, t] != output.mask_logits[:, t + 1]).any() for t in range(7))


def along_time(moments: torch.Tensor, num_frames: int) -> torch.Tensor:
    """Each frame between the two moments whose middles lie around its own middle; (N, t, …) to (N, T, …)."""
    count = moments.shape[1]
    frames = []
    for frame in range(num_frames):
        place = min(max((frame + 0.5) * count / num_frames - 0.5, 0.0), count - 1.0)
        before = int(place)
        after = min(before + 1, count - 1)
        frames.append(moments[:, before] * (1 - (place - before)) + moments[:, after] * (place - before))
    return torch.stack(frames, dim=1)


@pytest.mark.parametrize(("count", "num_frames"), [(2, 8), (4, 8), (3, 3), (1, 4)])
def test_moments_become_frames_as_in_a_loop(count: int, num_frames: int) -> None:
    moments = torch.randn(2, count, 3, 4, 5)
    found = _to_frames(moments.flatten(0, 1), 2, num_frames).unflatten(0, (2, num_frames))
    torch.testing.assert_close(found, along_time(moments, num_frames), atol=1e-6, rtol=1e-5)


def test_narrowing_before_the_interpolation_changes_nothing() -> None:
    coarse = levels(2, (4, 4, 4, 2))
    expected = make_head()([along_time(level, 8) for level in coarse], num_frames=8)
    found = make_head()(coarse, num_frames=8)
    torch.testing.assert_close(found.mask_logits, expected.mask_logits, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.class_maps, expected.class_maps, atol=1e-4, rtol=1e-4)


def test_cells_count_by_their_share_of_the_foreground() -> None:
    logits = torch.full((1, 2, 8, 8), -20.0)
    logits[0, 0, :4, 4:] = 20.0  # one of eight cells
    weights = _cell_weights(logits, (2, 2))
    assert weights.shape == (1, 2, 1, 2, 2)
    assert weights.sum().item() == pytest.approx(1.0)
    assert weights[0, 0, 0, 0, 1].item() == pytest.approx((1 + 1e-4) / (1 + 8e-4))
    even = _cell_weights(torch.full((1, 2, 8, 8), -20.0), (2, 2))
    torch.testing.assert_close(even, torch.full((1, 2, 1, 2, 2), 1 / 8))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"level_channels": [8, 8, 8]}, "3 entries, expected 4"),
        ({"pyramid_width": 12}, "12 channels, expected a multiple of 8"),
        ({"finest_width": 4}, "4 channels, expected a multiple of 8"),
    ],
)
def test_arguments_out_of_range_are_refused(changed: dict, message: str) -> None:
    settings = {"level_channels": CHANNELS, "pyramid_width": 16, "finest_width": 8, "dropout": 0.3}
    with pytest.raises(ValueError, match=message):
        PyramidHead(num_classes=2, **settings | changed)
