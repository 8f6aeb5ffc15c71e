"""The remote end, without Ray. Oracle: which of its videos a chunk reports as failed, and whether the process ends."""

from pathlib import Path

import pyarrow as pa
import pytest
import torch

from hybridal_ray.chunk_actor import ChunkActor
from hybridal_ray.chunks import Chunk, Parts
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
    actor.start(RaisingWorker, threads=threads)
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
        ChunkActor().start(RaisingWorker, threads=3)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
