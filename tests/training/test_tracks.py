"""Oracles: interpolations worked out by hand, and what was measured on the real boxes of UCF101-24."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_labels import actor

from hybridal_ray.pool.untrusted import unpickle
from hybridal_ray.training.tracks import Track, interpolate_boxes, tracks_of

# Mean IoU of interpolated with true boxes when every n-th frame of a tube is labelled (corrected annotations).
REAL_AGREEMENT = {5: 0.908, 10: 0.863, 20: 0.789, 40: 0.698}


def test_boxes_move_linearly_corner_by_corner_and_are_held_at_the_ends() -> None:
    labels = {10: (actor("a", 0, 0, 10, 20),), 14: (actor("a", 8, 4, 30, 20),)}
    (track,) = tracks_of(labels, num_frames=30)
    boxes, inside = interpolate_boxes(track, [0, 10, 11, 12, 13, 14, 29, 30])
    expected = [
        [0, 0, 10, 20],
        [0, 0, 10, 20],
        [2, 1, 15, 20],
        [4, 2, 20, 20],
        [6, 3, 25, 20],
        [8, 4, 30, 20],
        [8, 4, 30, 20],
    ]
    np.testing.assert_allclose(boxes[:7], expected)
    assert inside.tolist() == [True] * 7 + [False]  # the video ends with frame 29


@pytest.mark.parametrize(
    ("present", "absent", "extent"),
    [
        ([10], [], (0, 99)),
        ([10], [4], (8, 99)),  # 7 is as near to 4 as to 10: not the actor's
        ([10], [5], (8, 99)),
        ([10], [9], (10, 99)),
        ([10], [16], (0, 13)),
        ([10], [15], (0, 12)),
        ([10], [11], (0, 10)),
        ([10, 20], [0, 5, 31, 90], (8, 25)),  # the nearest absent frame on either side
    ],
)
def test_extents_reach_half_way_to_a_labelled_frame_without_the_actor(
    present: list[int], absent: list[int], extent: tuple[int, int]
) -> None:
    labels = {frame: (actor("a", 0, 0, 4, 4),) for frame in present} | dict.fromkeys(absent, ())
    (track,) = tracks_of(labels, num_frames=100)
    assert (track.first, track.last) == extent


def test_an_actor_that_left_and_came_back_is_two_tracks() -> None:
    labels = {frame: (actor("a", 0, 0, 4, 4),) for frame in (10, 20, 40)} | {30: (), 35: ()}
    before, after = tracks_of(labels, num_frames=100)
    assert (before.frames.tolist(), before.first, before.last) == ([10, 20], 0, 25)
    assert (after.frames.tolist(), after.first, after.last) == ([40], 38, 99)


@given(st.dictionaries(st.integers(0, 60), st.sets(st.sampled_from("abc")), min_size=1), st.integers(61, 70))
def test_labelled_frames_show_whom_their_label_shows_and_no_track_has_a_gap(
    present: dict[int, set[str]], num_frames: int
) -> None:
    class_of = {"a": 0, "b": 1, "c": 2}
    labels = {
        frame: tuple(actor(tube, 0, 0, 4, 4, class_id=class_of[tube]) for tube in sorted(tubes))
        for frame, tubes in present.items()
    }
    tracks = tracks_of(labels, num_frames)
    frames = list(range(num_frames))
    shown = [interpolate_boxes(track, frames)[1] for track in tracks]
    for frame, tubes in present.items():
        there = [track.class_id for track, inside in zip(tracks, shown, strict=True) if inside[frame]]
        assert sorted(there) == sorted(class_of[tube] for tube in tubes)
    for tube, class_id in class_of.items():
        covering = np.sum([s for t, s in zip(tracks, shown, strict=True) if t.class_id == class_id] or [0], axis=0)
        assert np.max(covering) <= 1  # stays of one actor do not overlap
        assert bool(np.any(covering)) == any(tube in tubes for tubes in present.values())


def test_tubes_are_told_apart_and_each_limits_only_itself() -> None:
    labels = {
        20: (actor("b", 5, 5, 9, 9, class_id=2),),
        0: (actor("b", 1, 1, 5, 5, class_id=2), actor("a", 0, 0, 2, 2, class_id=1, mask="04")),
        40: (),
    }
    first, second = tracks_of(labels, num_frames=50)
    assert (first.class_id, first.frames.tolist(), first.masks) == (1, [0], ("04",))
    assert (first.first, first.last) == (0, 10)
    assert (second.class_id, second.frames.tolist(), second.masks) == (2, [0, 20], (None, None))
    assert (second.first, second.last) == (0, 30)
    np.testing.assert_allclose(interpolate_boxes(second, [5])[0], [[2, 2, 6, 6]])


def test_a_class_that_changes_makes_another_track_half_way_and_boxes_move_on_across_it() -> None:
    labels = {
        10: (actor("a", 0, 0, 10, 10, class_id=1),),
        20: (actor("a", 10, 0, 20, 10, class_id=1),),
        25: (actor("a", 20, 0, 30, 10, class_id=0),),
        40: (),
        50: (actor("a", 0, 0, 9, 9, class_id=0), actor("a", 0, 0, 9, 9, class_id=4)),  # two at once: the first counts
    }
    tracks = tracks_of(labels, num_frames=60)
    assert [(t.class_id, t.first, t.last) for t in tracks] == [(1, 0, 22), (0, 23, 32), (0, 46, 59)]
    assert [t.frames.tolist() for t in tracks] == [[10, 20, 25], [10, 20, 25], [50]]
    for track, frames in ((tracks[0], (10, 20, 22)), (tracks[1], (23, 25, 30))):
        boxes, inside = interpolate_boxes(track, frames)
        np.testing.assert_allclose(boxes[:, 0], np.interp(frames, [10, 20, 25], [0, 10, 20]))
        assert inside.all()


def test_frames_without_actors_make_no_track() -> None:
    assert tracks_of({}, 10) == []
    assert tracks_of({3: (), 5: ()}, 10) == []


@given(st.dictionaries(st.integers(0, 60), st.lists(st.integers(0, 200), min_size=4, max_size=4), min_size=1))
def test_labelled_frames_keep_their_own_box_exactly(boxes: dict[int, list[int]]) -> None:
    labels = {frame: (actor("a", *corners),) for frame, corners in boxes.items()}
    (track,) = tracks_of(labels, num_frames=61)
    assert track.frames.tolist() == sorted(boxes)
    found, inside = interpolate_boxes(track, list(boxes))
    assert found.tolist() == [list(corners) for corners in boxes.values()]
    assert inside.all()


@pytest.mark.data
def test_interpolation_agrees_with_the_real_boxes_of_ucf101_24_as_measured(hybridal_data: Path) -> None:
    tubes = real_tubes(hybridal_data / "ucf101_24" / "pyannot.pkl")
    for gap, expected in REAL_AGREEMENT.items():
        ious = np.concatenate([agreement(tube, gap) for tube in tubes if len(tube) > gap])
        assert ious.mean() == pytest.approx(expected, abs=0.001)


def agreement(tube: np.ndarray, gap: int) -> np.ndarray:
    """IoU with the truth on the frames between every gap-th frame of a tube, (L, 4)."""
    labelled = np.arange(0, len(tube), gap)
    track = Track(0, labelled, tube[labelled], (None,) * len(labelled), 0, len(tube) - 1)
    between = np.setdiff1d(np.arange(labelled[-1]), labelled)
    found, _ = interpolate_boxes(track, between)
    true = tube[between]
    corner, opposite = np.maximum(found[:, :2], true[:, :2]), np.minimum(found[:, 2:], true[:, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=1)
    return shared / ((found[:, 2:] - found[:, :2]).prod(axis=1) + (true[:, 2:] - true[:, :2]).prod(axis=1) - shared)


def real_tubes(file: Path) -> list[np.ndarray]:
    """The tubes of the corrected annotations as (L, 4) corners; most are stored as uint8, and x + w would overflow."""
    annotations = unpickle(str(file))
    boxes = [tube["boxes"].astype(float) for video in annotations.values() for tube in video["annotations"]]
    return [np.concatenate([tube[:, :2], tube[:, :2] + tube[:, 2:]], axis=1) for tube in boxes]
