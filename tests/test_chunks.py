"""The parts of a pass. Oracle: every video exactly once, counted in Python."""

from pathlib import Path

import pyarrow as pa
import pytest

from hybridal_ray.chunk_plan import Chunk
from hybridal_ray.chunks import Parts, read_parts
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
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


class LookingAhead:
    """Notes what it was told and asked, in order."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def expect(self, video: Video) -> None:
        self.notes.append(f"expect {video.video_id}")

    def process(self, videos) -> list[dict]:
        self.notes += [f"process {video.video_id}" for video in videos]
        return []


def test_worker_hears_of_the_next_video_before_it_is_asked_for_this_one(tmp_path: Path) -> None:
    worker = LookingAhead()
    Parts(str(tmp_path), SCHEMA, no_row).process(worker, Chunk("part-00000", tuple(map(video, "abc"))))
    assert worker.notes == ["expect b", "process a", "expect c", "process b", "process c"]


class FailingStorage:
    """Stands before `storage.write_bytes`, and fails so many times before it lets a write through."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
        self.left = failures
        self.write = storage.write_bytes
        monkeypatch.setattr(storage, "write_bytes", self)
        monkeypatch.setattr("time.sleep", lambda seconds: None)

    def __call__(self, location: str, content: bytes) -> None:
        self.left -= 1
        if self.left >= 0:
            raise UserError(f"{location}: cannot be written") from OSError(28, "No space left on device")
        self.write(location, content)


def test_storage_that_fails_twice_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FailingStorage(monkeypatch, failures=2)
    report = Parts(str(tmp_path), SCHEMA, no_row).process(ManyRowsWorker(), Chunk("part-00000", (video("a"),)))
    assert report.failed == {}
    assert read_parts(str(tmp_path), SCHEMA)["video_id"].to_pylist() == ["a"] * 3


def test_full_disk_is_told_and_blamed_on_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FailingStorage(monkeypatch, failures=100)
    with pytest.raises(UserError, match=r"part-00000.parquet: cannot be written"):
        Parts(str(tmp_path), SCHEMA, no_row).process(ManyRowsWorker(), Chunk("part-00000", (video("a"),)))
    assert list(tmp_path.iterdir()) == []


def test_worker_that_cannot_write_what_it_keeps_is_no_fault_of_its_video(tmp_path: Path) -> None:
    class KeepingWorker:
        def process(self, videos) -> list[dict]:
            raise UserError("cache: cannot be written") from OSError(28, "No space left on device")

    with pytest.raises(UserError, match="cache"):
        Parts(str(tmp_path), SCHEMA, no_row).process(KeepingWorker(), Chunk("part-00000", (video("a"),)))
