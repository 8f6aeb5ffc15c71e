"""Oracles: loops over pixel centres for boxes, over pairs of pixels for distances, and discs known by formula."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from made_up_labels import actor
from scipy.io import loadmat

from hybridal_ray.pool.masks import box_of_mask, decode_mask, encode_mask
from hybridal_ray.training import rendering
from hybridal_ray.training.rendering import MaskCache, TrackRenderer, interpolate_masks, move, signed_distance
from hybridal_ray.training.tracks import Track, tracks_of


def box_track(*box: float, class_id: int = 0, first: int = 0, last: int = 9) -> Track:
    return Track(class_id, np.array([0]), np.array([box], dtype=float), (None,), first, last)


def disc(row: float, column: float, radius: float = 7.0, side: int = 48) -> np.ndarray:
    rows, columns = np.mgrid[:side, :side]
    return (rows - row) ** 2 + (columns - column) ** 2 < radius**2


def brute_force_distance(mask: np.ndarray) -> np.ndarray:
    """Distance to the nearest pixel of the other kind; all beyond the picture is background."""
    height, width = mask.shape
    everywhere = [(y, x) for y in range(-1, height + 1) for x in range(-1, width + 1)]
    inside = {(y, x) for y in range(height) for x in range(width) if mask[y, x]}
    distances = np.zeros(mask.shape)
    for y in range(height):
        for x in range(width):
            others = inside if (y, x) not in inside else set(everywhere) - inside
            nearest = min(np.hypot(y - v, x - u) for v, u in others)
            distances[y, x] = nearest if (y, x) in inside else -nearest
    return distances


corner = st.floats(-10, 70, allow_nan=False)


@settings(max_examples=50)
@given(corner, corner, corner, corner, st.sampled_from([(48, 64), (30, 20), (16, 16)]))
def test_a_pixel_belongs_to_a_box_when_its_centre_does(
    x1: float, y1: float, x2: float, y2: float, picture: tuple[int, int]
) -> None:
    size = 16
    track = box_track(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    (drawn,) = TrackRenderer([track], picture, size).render(np.array([3]))
    for row in range(size):
        for column in range(size):
            x, y = (column + 0.5) * picture[1] / size, (row + 0.5) * picture[0] / size
            edges = np.abs(np.subtract([x, x, y, y], [x1, x2, y1, y2]))
            if edges.min() > 1e-6:  # on an edge itself rounding decides
                assert drawn[row, column] == (min(x1, x2) < x < max(x1, x2) and min(y1, y2) < y < max(y1, y2))


def test_a_box_that_fits_the_grid_fills_its_pixels_and_no_more() -> None:
    drawn = TrackRenderer([box_track(4, 8, 12, 10)], (16, 32), 16).render(np.array([0]))
    expected = np.zeros((1, 16, 16), dtype=np.uint8)
    expected[0, 8:10, 2:6] = 1
    np.testing.assert_array_equal(drawn, expected)


def test_tracks_are_numbered_from_one_the_later_in_front_and_only_in_their_extent() -> None:
    tracks = [box_track(0, 0, 10, 10, last=4), box_track(5, 5, 15, 15, first=3)]
    maps = TrackRenderer(tracks, (16, 16), 16).render(np.array([0, 3, 9]))
    assert [set(np.unique(one).tolist()) for one in maps] == [{0, 1}, {0, 1, 2}, {0, 2}]
    assert maps[1, 7, 7] == 2
    assert (maps[1] == 1).sum() == 100 - 25


def test_without_tracks_all_is_background() -> None:
    assert TrackRenderer([], (16, 16), 8).render(np.array([0, 1])).tolist() == np.zeros((2, 8, 8), int).tolist()


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=7)))
def test_signed_distances(mask: np.ndarray) -> None:
    if mask.any():
        np.testing.assert_allclose(signed_distance(mask), brute_force_distance(mask), atol=1e-5)
    else:
        np.testing.assert_allclose(signed_distance(mask), -np.hypot(*mask.shape), atol=1e-5)


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_between_two_discs_lies_a_disc_between_them(share: float) -> None:
    before, after = disc(20, 16), disc(24, 18)
    found = interpolate_masks(signed_distance(before), signed_distance(after), share)
    rows, columns = np.nonzero(found)
    assert (rows.mean(), columns.mean()) == pytest.approx((20 + 4 * share, 16 + 2 * share), abs=0.7)
    expected = disc(20 + 4 * share, 16 + 2 * share)
    assert (found & expected).sum() > 0.8 * (found | expected).sum()
    assert found[before & after].all()
    assert not found[~(before | after)].any()


def test_interpolation_begins_and_ends_with_the_masks_themselves() -> None:
    before, after = disc(20, 16), disc(30, 30, radius=4)
    distances = signed_distance(before), signed_distance(after)
    np.testing.assert_array_equal(interpolate_masks(*distances, 0.0), before)
    np.testing.assert_array_equal(interpolate_masks(*distances, 1.0), after)


def test_labelled_masks_are_kept_interpolated_between_and_held_outside() -> None:
    before, after = disc(20, 16), disc(24, 20)
    labels = {  # the boxes stay where they are: nothing is moved
        4: (actor("a", 0, 0, 48, 48, mask=encode_mask(before)),),
        8: (actor("a", 0, 0, 48, 48, mask=encode_mask(after)),),
    }
    renderer = TrackRenderer(tracks_of(labels, num_frames=20), (48, 48), 48)
    maps = renderer.render(np.array([0, 4, 5, 8, 19]))
    expected = interpolate_masks(signed_distance(before), signed_distance(after), 0.25)
    for drawn, mask in zip(maps, [before, before, expected, after, after], strict=True):
        np.testing.assert_array_equal(drawn, mask)
    np.testing.assert_array_equal(renderer.render(np.array([5])), maps[2:3])  # the same out of what it remembers


def test_a_held_mask_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []

    def counting(counts: str, height: int, width: int) -> np.ndarray:
        decoded.append(counts)
        return decode_mask(counts, height, width)

    monkeypatch.setattr(rendering, "decode_mask", counting)
    mask = disc(20, 16)
    labels = {4: (actor("a", 0, 0, 48, 48, mask=encode_mask(mask)),)}
    renderer = TrackRenderer(tracks_of(labels, num_frames=20), (48, 48), 48)
    for _ in range(2):
        np.testing.assert_array_equal(renderer.render(np.arange(20)), np.stack([mask] * 20))
    assert decoded == [encode_mask(mask)]


def test_masks_are_sampled_at_the_centres_of_the_detectors_pixels() -> None:
    mask = np.random.default_rng(0).random((30, 20)) < 0.5
    labels = {0: (actor("a", 0, 0, 20, 30, mask=encode_mask(mask)),)}
    (drawn,) = TrackRenderer(tracks_of(labels, 1), (30, 20), 8).render(np.array([0]))
    for row in range(8):
        for column in range(8):
            assert drawn[row, column] == mask[int((row + 0.5) * 30 / 8), int((column + 0.5) * 20 / 8)]


def test_where_a_neighbouring_label_has_only_a_box_boxes_are_interpolated() -> None:
    labels = {
        0: (actor("a", 0, 0, 8, 8, mask=encode_mask(disc(4, 4, radius=2, side=16))),),
        4: (actor("a", 8, 8, 16, 16),),
    }
    maps = TrackRenderer(tracks_of(labels, num_frames=8), (16, 16), 16).render(np.array([0, 2, 4, 7]))
    np.testing.assert_array_equal(maps[0], disc(4, 4, radius=2, side=16))
    for drawn, first in zip(maps[1:], (4, 8, 8), strict=True):
        expected = np.zeros((16, 16), dtype=np.uint8)
        expected[first : first + 8, first : first + 8] = 1
        np.testing.assert_array_equal(drawn, expected)


def test_a_mask_whose_actor_walks_away_goes_with_it_and_keeps_its_size() -> None:
    labels = {
        frame: (actor("a", x - 7, 13, x + 7, 27, mask=encode_mask(disc(20, x))),) for frame, x in ((0, 8.0), (8, 40.0))
    }
    renderer = TrackRenderer(tracks_of(labels, num_frames=9), (48, 48), 48)
    for frame, drawn in enumerate(renderer.render(np.arange(9))):
        np.testing.assert_array_equal(drawn, disc(20, 8 + 4 * frame))


@settings(max_examples=30)
@given(st.integers(-9, 9), st.integers(-9, 9), st.integers(0, 3))
def test_moving_goes_by_pixels_and_repeats_the_border(right: int, down: int, seed: int) -> None:
    distances = np.random.default_rng(seed).normal(size=(5, 7)).astype(np.float32)
    moved = move(distances, right, down)
    for row in range(5):
        for column in range(7):
            assert moved[row, column] == distances[min(max(row - down, 0), 4), min(max(column - right, 0), 6)]


@pytest.mark.data
def test_moved_masks_agree_better_with_real_ones_where_labels_are_rare(hybridal_data: Path) -> None:
    moved, unmoved = [], []
    columns = ((np.arange(240) + 0.5) * 320 / 240).astype(int)  # of 320, at the size of the maps
    for file in sorted((hybridal_data / "jhmdb21" / "masks").glob("*/*.mat"))[::40]:
        masks = loadmat(file)["part_mask"].transpose(2, 0, 1).astype(bool)  # (T, H, W)
        kept = [frame for frame in (0, 20) if frame < len(masks) and masks[frame].any()]
        if len(kept) < 2:
            continue
        boxes = {frame: box_of_mask(masks[frame]) for frame in kept}
        labels = {frame: (actor("a", *boxes[frame], mask=encode_mask(masks[frame])),) for frame in kept}
        between = np.arange(1, 20)
        drawn = TrackRenderer(tracks_of(labels, len(masks)), masks.shape[1:], 240).render(between) > 0
        distances = [signed_distance(masks[frame]) for frame in kept]
        for frame, found in zip(between, drawn, strict=True):
            true, still = masks[frame][:, columns], interpolate_masks(*distances, frame / 20)[:, columns]
            moved.append((found & true).sum() / (found | true).sum())
            unmoved.append((still & true).sum() / (still | true).sum())
    assert len(moved) > 150
    assert np.mean(moved) > np.mean(unmoved) + 0.005
    assert np.mean(moved) > 0.65


def test_of_masks_and_distances_those_used_last_are_kept_within_their_bytes() -> None:
    """Three of four bytes each fit into fourteen; the one that was asked for again outlives the next."""
    kept = MaskCache(max_bytes=14)
    keys = [("distance", counts, 1, 1, 1) for counts in "abcd"]
    for key in keys[:3]:
        kept.put(key, np.full((1, 1), ord(key[1]), dtype=np.float32))
    assert kept.get(keys[0]) is not None
    kept.put(keys[0], np.zeros((1, 1), dtype=np.float32))  # two threads at once: counted once
    kept.put(keys[3], np.zeros((1, 1), dtype=np.float32))
    assert [kept.get(key) is not None for key in keys] == [True, False, True, True]
    assert kept.get(("mask", *keys[0][1:])) is None
