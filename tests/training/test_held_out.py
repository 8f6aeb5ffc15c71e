"""Oracles: properties of a division, over made-up groups; the ledger read by hand."""

import dataclasses
from typing import ClassVar

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_labels import actor

from hybridal_ray.errors import UserError
from hybridal_ray.pool.ledger import LABELS_SCHEMA, VideoLabels
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.held_out import HeldOut, divide_labels, hold_out
from hybridal_ray.training.task import LabelledVideos


def video(name: str, group: str) -> Video:
    return Video(name, f"{name}.mp4", "train", group, 10, 32, 32)


def of_groups(groups: list[int]) -> LabelledVideos:
    videos = [video(f"v{index}", f"g{group}") for index, group in enumerate(groups)]
    return LabelledVideos(videos, [{index: ()} for index in range(len(videos))])


@given(st.lists(st.integers(0, 30), min_size=2, max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_groups_fall_whole_on_one_side_and_neither_side_is_empty(groups: list[int], fraction: float, seed: int) -> None:
    labelled = of_groups(groups)
    if len(set(groups)) == 1:
        with pytest.raises(UserError, match=r"^training\.validation\.source: .* of 1 group, expected at least two"):
            hold_out(labelled, fraction, seed)
        return
    trained, held_out = hold_out(labelled, fraction, seed)
    sides = [{v.group for v in side.videos} for side in (trained, held_out)]
    assert all(sides)
    assert not sides[0] & sides[1]
    assert len(trained.videos) + len(held_out.videos) == len(groups)
    for side in (trained, held_out):  # labels go with their videos
        assert [f"v{next(iter(labels))}" for labels in side.labels] == [v.video_id for v in side.videos]


def test_about_the_fraction_is_held_out_and_another_seed_holds_out_others() -> None:
    labelled = of_groups(list(range(400)))
    found = [{v.video_id for v in hold_out(labelled, 0.2, seed)[1].videos} for seed in range(3)]
    assert all(50 < len(held_out) < 110 for held_out in found)
    assert found[0] != found[1]


def test_what_was_held_out_stays_so_when_more_is_labelled() -> None:
    before = {v.video_id for v in hold_out(of_groups(list(range(50))), 0.2, 1)[1].videos}
    after = {v.video_id for v in hold_out(of_groups(list(range(90))), 0.2, 1)[1].videos}
    assert before < after


class TestDivision:
    videos = tuple(video(name, name) for name in "abcd")
    by_video: ClassVar[dict[str, VideoLabels]] = {
        "a": {0: ()},
        "b": {3: (actor("t", 0, 0, 4, 4),)},
        "d": {5: ()},
    }

    def test_without_validation_all_labelled_videos_are_trained_on(self) -> None:
        labelled, validation = divide_labels(self.videos, self.by_video, None, seed=0)
        assert [v.video_id for v in labelled.videos] == ["a", "b", "d"]
        assert labelled.labels == [self.by_video[name] for name in "abd"]
        assert validation is None

    def test_some_of_them_are_held_out(self) -> None:
        labelled, validation = divide_labels(self.videos, self.by_video, HeldOut(0.3), seed=0)
        assert validation is not None
        assert sorted(v.video_id for side in (labelled, validation) for v in side.videos) == ["a", "b", "d"]

    def test_a_split_of_its_own_takes_nothing_from_training(self) -> None:
        row = {"video_id": "x", "frame": 2, "round": 0, "source": "pool", "seconds": None, "boxes": []}
        labels = pa.Table.from_pylist([row], schema=LABELS_SCHEMA)
        own = [dataclasses.replace(video(name, name), split="val") for name in "xy"]
        labelled, validation = divide_labels(self.videos, self.by_video, HeldOut(given=(own, labels)), seed=0)
        assert len(labelled.videos) == 3
        assert validation == LabelledVideos([own[0]], [{2: ()}])
        with pytest.raises(UserError, match="no video of the split val has labels"):
            divide_labels(self.videos, self.by_video, HeldOut(given=(own[1:], labels)), seed=0)
