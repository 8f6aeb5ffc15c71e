"""The remote end, without Ray. Oracle: which of its videos a chunk reports as failed, and whether the process ends."""

import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
import torch

from hybridal_ray.chunk_actor import ChunkActor
from hybridal_ray.chunk_plan import Chunk
from hybridal_ray.chunks import Parts
from hybridal_ray.pool.tables import Video

SCHEMA = pa.schema([pa.field("video_id", pa.string(), nullable=False), pa.field("error", pa.string())])
CHUNK = Chunk("part-00000", tuple(Video(name, name, "train", "g", 9, 32, 24) for name in ("good", "bad")))


class ProcessEnd(BaseException):
    """Stands for the end of the process, which a test cannot survive."""


class RaisingWorker:
    def process(self, videos) -> list[dict]:
        if any(video.video_id == "bad" for video in videos):
            raise RuntimeError("device-side assert")
        return [{"video_id": video.video_id, "error": None} for video in videos]


def error_row(video: Video, reason: str) -> dict:
    return {"video_id": video.video_id, "error": reason}


@pytest.fixture
def actor(monkeypatch) -> ChunkActor:
    def end(status: int) -> None:
        raise ProcessEnd

    threads = torch.get_num_threads()
    monkeypatch.setattr("os._exit", end)
    actor = ChunkActor()
    actor.start(RaisingWorker, threads=threads, seconds_per_video=60)
    return actor


def lose_gpu(*_: object) -> None:
    raise RuntimeError("CUDA error: device-side assert triggered")


@pytest.mark.parametrize("uses_gpu", [False, True])
def test_video_that_raises_is_set_aside_while_the_gpu_answers(actor, tmp_path: Path, monkeypatch, uses_gpu) -> None:
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: uses_gpu)
    monkeypatch.setattr("torch.cuda.synchronize", lambda: None)
    report = actor.work(Parts(str(tmp_path), SCHEMA, error_row), CHUNK)
    assert (report.videos, list(report.failed)) == (2, ["bad"])


def test_process_ends_when_its_gpu_is_lost_and_leaves_no_part(actor, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_initialized", lambda: True)
    monkeypatch.setattr("torch.cuda.synchronize", lose_gpu)
    with pytest.raises(ProcessEnd):
        actor.work(Parts(str(tmp_path), SCHEMA, error_row), CHUNK)
    assert list(tmp_path.iterdir()) == []


def test_threads_are_those_asked_for() -> None:
    before = torch.get_num_threads()
    try:
        ChunkActor().start(RaisingWorker, threads=3, seconds_per_video=60)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_process_ends_in_time_even_when_the_lock_of_python_is_held(tmp_path: Path) -> None:
    # This regular expression takes longer than the world has stood, and lets no other thread of Python run.
    program = (
        "import re, sys\n"
        "from hybridal_ray.chunk_actor import ChunkActor\n"
        "class Hanging:\n"
        "    def process(self, videos): re.match('(a+)+$', 'a' * 99 + 'b')\n"
        "from hybridal_ray.pool.tables import Video\n"
        "actor = ChunkActor(); actor.start(Hanging, 1, 0.5)\n"
        "actor.process([Video('a', 'a', 'train', 'g', 9, 32, 24)])\n"
    )
    began = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr
    assert time.monotonic() - began < 50


def test_watchdog_is_called_off_when_a_video_is_done(tmp_path: Path, actor) -> None:
    actor._seconds_per_video = 0.3
    actor.work(Parts(str(tmp_path), SCHEMA, error_row), CHUNK)
    time.sleep(0.6)  # or this process would have ended


def test_watchdog_gives_a_long_video_more_time(actor, monkeypatch) -> None:
    asked: list[float] = []
    monkeypatch.setattr("faulthandler.dump_traceback_later", lambda seconds, **_: asked.append(seconds))
    actor.process([Video("long", "long", "train", "g", 9000, 32, 24)])
    actor.process([Video(name, name, "train", "g", 9, 32, 24) for name in ("a", "b")])
    assert asked == [60 * 9, 60 * 2]
