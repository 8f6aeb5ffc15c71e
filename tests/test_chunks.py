"""The plan of a pass and its parts. Oracle: every video exactly once, counted in Python."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.chunks import Chunk, Parts, divide_by_progress, plan_chunks, read_parts
from hybridal_ray.pool.tables import Video

SCHEMA = pa.schema([pa.field("video_id", pa.string(), nullable=False), pa.field("box", pa.int64())])


def video(name: str, num_frames: int = 10) -> Video:
    return Video(name, f"/nowhere/{name}", "test", "g", num_frames, 32, 24)


class ManyRowsWorker:
    """A detector's predictions: any number of rows a video, and a table without an error column."""

    def process(self, videos) -> list[dict]:
        if any(video.video_id == "bad" for video in videos):
            raise RuntimeError("x" * 10_000)
        return [{"video_id": video.video_id, "box": box} for video in videos for box in range(3)]


def no_row(video: Video, reason: str) -> None:
    return None


def test_longest_videos_come_first_and_equal_ones_by_name(tmp_path: Path) -> None:
    videos = [video("b", 5), video("a", 5), video("c", 9), video("d", 2)]
    chunks = plan_chunks(videos, str(tmp_path), 3)
    assert [[v.video_id for v in chunk.videos] for chunk in chunks] == [["c", "a", "b"], ["d"]]
    assert [chunk.name for chunk in chunks] == ["part-00000", "part-00001"]
    assert plan_chunks(videos[::-1], str(tmp_path), 3) == chunks


def test_video_given_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="twice"):
        plan_chunks([video("a"), video("a")], str(tmp_path), 2)


@given(sizes=st.lists(st.integers(1, 5), max_size=6), data=st.data())
def test_what_is_done_and_what_is_left_hold_every_video_once(sizes: list[int], data: st.DataObject) -> None:
    chunks = [Chunk(f"part-{i:05d}", tuple(video(f"{i}.{j}") for j in range(size))) for i, size in enumerate(sizes)]
    names = [chunk.name for chunk in chunks] + [single.name for chunk in chunks for single in chunk.singles()]
    present = data.draw(st.sets(st.sampled_from(names))) if names else set()
    done, to_do = divide_by_progress(chunks, present)
    everything = [v.video_id for chunk in [*done, *to_do] for v in chunk.videos]
    assert sorted(everything) == sorted(v.video_id for chunk in chunks for v in chunk.videos)
    assert {chunk.name for chunk in done} <= present
    assert not {chunk.name for chunk in to_do} & present


def test_failed_video_may_leave_no_row_and_is_remembered_all_the_same(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path), SCHEMA, no_row)
    chunk = Chunk("part-00000", (video("a"), video("bad"), video("z")))
    report = parts.process(ManyRowsWorker(), chunk)
    assert read_parts(str(tmp_path), SCHEMA)["video_id"].to_pylist() == ["a"] * 3 + ["z"] * 3
    assert list(report.failed) == ["bad"]
    assert report.failed["bad"].startswith("RuntimeError: xxx")
    assert len(report.failed["bad"]) < 1000
    assert parts.recorded(chunk) == report
    assert parts.recorded(Chunk("part-00001", (video("b"),))) is None


def test_rows_that_do_not_fit_the_schema_fail_their_video(tmp_path: Path) -> None:
    class WrongTypeWorker:
        def process(self, videos) -> list[dict]:
            return [{"video_id": v.video_id, "box": "three" if v.video_id == "bad" else 3} for v in videos]

    report = Parts(str(tmp_path), SCHEMA, no_row).process(
        WrongTypeWorker(), Chunk("part-00000", (video("bad"), video("good")))
    )
    assert set(report.failed) == {"bad"}
    assert read_parts(str(tmp_path), SCHEMA).to_pylist() == [{"video_id": "good", "box": 3}]


def test_whole_part_counts_before_the_parts_of_its_videos(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path), SCHEMA, no_row)
    chunk = Chunk("part-00007", (video("a"), video("b")))
    for piece in [chunk, *chunk.singles(), Chunk("part-00008", (video("c"),))]:
        parts.process(ManyRowsWorker(), piece)
    assert read_parts(str(tmp_path), SCHEMA)["video_id"].to_pylist() == [v for v in "abc" for _ in range(3)]


def test_no_parts_are_an_empty_table(tmp_path: Path) -> None:
    assert read_parts(str(tmp_path / "nothing"), SCHEMA).schema == SCHEMA
