"""Oracle: the pool that was cut, and counts made by hand."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_tail import long_tail
from pool_part import save_part
from small_pool import write_small_pool
from tuning_pool import sources_to_test

from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, load_pool, save_pool

SOURCED = st.dictionaries(
    st.text(min_size=1, max_size=3), st.tuples(st.sampled_from("ab"), st.sampled_from("stuvwxyz")), max_size=40
)


def test_a_part_holds_what_the_pool_held_of_its_videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = write_small_pool(tmp_path / "whole")
    frames = [{"video_id": f"v{index}", "frame": 3} for index in range(5)]
    save_pool(replace(whole, looked_at=pa.Table.from_pylist([*frames, *_with_box()], LABELLED_FRAMES_SCHEMA)))
    monkeypatch.chdir(tmp_path)  # a pool named by a relative path must not leave relative videos behind
    save_part(load_pool("whole"), {"v4": "train", "v0": "test"}, tmp_path / "elsewhere" / "part", "a part")
    part = load_pool(str(tmp_path / "elsewhere" / "part"))

    assert part.name == "a part"
    assert part.classes == whole.classes
    assert [(video.video_id, video.uri) for video in part.usable_videos("train")] == [
        ("v4", f"{tmp_path}/whole/v4.mp4")
    ]
    assert [video.video_id for video in part.usable_videos("test")] == ["v0"]
    assert part.tubes.equals(whole.tubes_of(["v4"]))
    assert part.labelled_frames_of(["v0", "v4"]) == {"v0": [3], "v4": [0, 1, 2, 3]}


def test_the_split_of_a_row_is_the_new_one(tmp_path: Path) -> None:
    part = save_part(write_small_pool(tmp_path / "whole"), {"v1": "test", "v2": "train"}, tmp_path / "part", "a part")

    assert dict(zip(part.videos["video_id"].to_pylist(), part.videos["split"].to_pylist(), strict=True)) == {
        "v1": "test",
        "v2": "train",
    }


@given(videos=SOURCED, share=st.floats(0.05, 0.5), seed=st.integers(0, 5))
def test_at_most_half_of_a_class_is_for_testing_and_some_of_it_where_that_can_be(
    videos: dict[str, tuple[str, str]], share: float, seed: int
) -> None:
    # A source here is of one class, as the part of a film that shows one action is.
    videos = {video: (class_id, class_id + source) for video, (class_id, source) in videos.items()}
    testing = sources_to_test(videos, share, seed)

    for class_id in {class_id for class_id, _ in videos.values()}:
        sources = Counter(source for of_class, source in videos.values() if of_class == class_id)
        tested = sum(count for source, count in sources.items() if source in testing)
        assert tested <= sources.total() / 2
        assert tested > 0 or min(sources.values()) > sources.total() / 2


def test_a_long_tail_falls_evenly_to_the_ratio() -> None:
    videos = {f"{class_id}-{index}": {class_id} for class_id in range(3) for index in range(40 - class_id)}
    kept = Counter(video[0] for video in long_tail(videos, ratio=16, seed=0))

    assert kept == {"0": 40, "1": 10, "2": 2}  # 40 · 16 ** -½ and 40 · 16 ** -1 = 2.5, rounded to even


def test_a_long_tail_keeps_videos_in_which_nobody_acts() -> None:
    assert long_tail({"a": set(), "b": set()}, ratio=16, seed=0) == ["a", "b"]
    assert {"a", "b"} <= set(long_tail({"a": set(), "b": set(), "c": {0}}, ratio=16, seed=0))


def test_a_video_of_two_classes_counts_for_both() -> None:
    videos = {f"{index}": {0, 1} for index in range(10)} | {f"more-{index}": {0} for index in range(6)}
    kept = long_tail(videos, ratio=4, seed=0)

    assert Counter(frozenset(videos[video]) for video in kept) == {frozenset({0, 1}): 4, frozenset({0}): 6}  # 16 / 4


def _with_box() -> list[dict[str, object]]:
    return [{"video_id": "v4", "frame": frame} for frame in range(3)]
