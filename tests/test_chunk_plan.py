"""The plan of a pass. Oracles: Python's own sort; every video exactly once, counted in Python."""

import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.chunk_plan import Chunk, ChunkPlan, ToDo, chunk_size, pieces, plan_chunks
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video
from hybridal_ray.video_rows import VideoRows


def video(name: str, num_frames: int = 10) -> Video:
    return Video(name, f"/nowhere/{name}", "test", "g", num_frames, 32, 24)


def as_rows(videos: list[Video]) -> VideoRows:
    return VideoRows(pa.Table.from_pylist([vars(each) for each in videos]), "/pool")


def test_longest_videos_come_first_and_equal_ones_by_name(tmp_path: Path) -> None:
    videos = [video("b", 5), video("a", 5), video("c", 9), video("d", 2)]
    plan = plan_chunks(videos, str(tmp_path), 3)
    assert [[v.video_id for v in chunk.videos] for chunk in plan] == [["c", "a", "b"], ["d"]]
    assert [chunk.name for chunk in plan] == ["part-00000", "part-00001"]
    assert (len(plan), plan.frames, [chunk.frames for chunk in plan]) == (2, 21, [19, 2])
    assert list(plan_chunks(videos[::-1], str(tmp_path), 3)) == list(plan)
    assert list(plan_chunks(as_rows(videos), str(tmp_path), 3)) == list(plan)


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 4), max_size=30), st.integers(1, 7))
def test_order_is_that_of_pythons_sort(tmp_path_factory, frames: dict[str, int], size: int) -> None:
    try:
        videos = [video(name.encode().decode(), count) for name, count in frames.items()]
    except UnicodeEncodeError:
        return  # half a surrogate pair is no text
    plan = plan_chunks(videos, str(tmp_path_factory.mktemp("pass")), size)
    expected = sorted(videos, key=lambda each: (-each.num_frames, each.video_id))
    assert [each for chunk in plan for each in chunk.videos] == expected
    assert all(len(chunk.videos) == size for chunk in list(plan)[:-1])


def test_video_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        plan_chunks([video("a"), video("b"), video("a", 3)], str(tmp_path), 2)


def test_directory_keeps_its_size_of_chunk_and_its_videos(tmp_path: Path) -> None:
    plan_chunks([video("a"), video("b"), video("c")], str(tmp_path), 2)
    assert len(plan_chunks([video("c"), video("b"), video("a")], str(tmp_path), 1)) == 2
    with pytest.raises(UserError, match="3 other videos, expected these 2"):
        plan_chunks([video("a"), video("b")], str(tmp_path), 2)


def test_other_lengths_are_other_videos(tmp_path: Path) -> None:
    plan_chunks([video("a", 3), video("b", 2)], str(tmp_path), 2)
    with pytest.raises(UserError, match="2 other videos"):
        plan_chunks([video("a", 4), video("b", 2)], str(tmp_path), 2)


@pytest.mark.parametrize(
    ("videos", "size"), [(0, 8), (26, 8), (6_400, 8), (6_401, 9), (10_000, 10), (1_000_000, 100), (100_000_000, 1_000)]
)
def test_size_left_to_the_plan_grows_with_the_root_of_the_pool(videos: int, size: int) -> None:
    assert chunk_size(videos) == size


def test_pass_that_has_begun_keeps_the_size_that_was_left_to_the_plan(tmp_path: Path) -> None:
    videos = [video(f"{index:05d}") for index in range(6_401)]
    assert plan_chunks(videos, str(tmp_path), "auto").size == plan_chunks(videos, str(tmp_path), 5).size == 9


def test_plan_of_a_pools_rows_holds_eight_bytes_a_video(tmp_path: Path) -> None:
    count = 20_000
    columns = {name: [name] * count for name in ("uri", "split", "group")} | {
        "video_id": [f"video-{index:06d}" for index in range(count)],
        **{name: [7] * count for name in ("num_frames", "width", "height")},
    }
    rows = VideoRows(pa.table(columns), "/pool")
    del columns
    in_arrow = pa.total_allocated_bytes()
    tracemalloc.start()
    try:
        plan = plan_chunks(rows, str(tmp_path), "auto")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert plan.order.nbytes == 8 * count
    assert held < 8 * count + 50_000
    assert peak < 20 * count + 400_000  # lengths, their negatives and the order, and a thousand rows at a time
    assert pa.total_allocated_bytes() <= in_arrow


def test_names_sort_as_the_parts_do_however_many_there_are() -> None:
    plan = ChunkPlan([video("a", 1)], np.zeros(100_001, np.int64), 1, 100_001)
    names = [chunk.name for chunk in plan]
    assert names == sorted(names)
    assert len(set(names)) == 100_001


def test_no_videos_are_no_chunks(tmp_path: Path) -> None:
    assert list(plan_chunks([], str(tmp_path), 4)) == []


@given(size=st.integers(1, 5), data=st.data())
def test_what_is_done_and_what_is_left_hold_every_video_once(size: int, data: st.DataObject) -> None:
    chunk = Chunk("part-00003", tuple(video(f"v{index}") for index in range(size)))
    names = [chunk.name, *(single.name for single in chunk.singles())]
    present = data.draw(st.sets(st.sampled_from(names)))
    found = pieces(chunk, present)
    assert sorted(each.video_id for piece, _ in found for each in piece.videos) == [f"v{i}" for i in range(size)]
    assert all((piece.name in present) == done for piece, done in found)


def test_chunks_are_drawn_when_they_are_needed_and_come_back_where_they_are_put() -> None:
    made: list[str] = []

    def chunks():
        for name in "abcd":
            made.append(name)
            yield Chunk(name, ())

    to_do = ToDo(chunks())
    assert to_do.at_hand(2) == 2
    assert made == ["a", "b"]
    first = to_do.take()
    assert first is not None
    to_do.put_last([Chunk("z", ())])
    to_do.put_first([first, Chunk("a2", ())])
    order = []
    while (chunk := to_do.take()) is not None:
        order.append(chunk.name)
    assert order == ["a", "a2", "b", "c", "d", "z"]
    assert to_do.at_hand(5) == 0


@given(st.integers(1, 23), st.integers(1, 6), st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)))
def test_what_is_missing_is_what_pieces_say(count: int, size: int, whole: set[int], single: set[int]) -> None:
    videos = [Video(f"v{index:03d}", "", "train", "g", 9, 32, 24) for index in range(count)]
    plan = ChunkPlan(videos, np.arange(count), size, 9 * count)
    chunks = list(plan)
    names = [name for chunk in chunks for name in chunk.single_names()]
    present = {chunks[index].name for index in whole if index < len(chunks)}
    present |= {names[index] for index in single if index < len(names)}
    expected = [chunk.name for chunk in chunks if not all(done for _, done in pieces(chunk, present))]
    assert plan.missing(present) == expected
