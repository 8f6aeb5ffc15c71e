"""Passes on actors that die, hang and raise. Oracle: the rows that a plain loop over the videos gives."""

import functools
import os
import signal
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pytest

from hybridal_ray.chunk_plan import plan_chunks
from hybridal_ray.chunks import Parts, read_parts
from hybridal_ray.dispatch import ActorPlan, PassSummary, _refuse_missing_parts, run_over_videos
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video

SCHEMA = pa.schema(
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("value", pa.int64(), nullable=True),
        pa.field("error", pa.string(), nullable=True),
    ]
)


def make_videos(count: int) -> list[Video]:
    return [Video(f"v{i:03d}", f"/nowhere/v{i}", "train", "g", 10 + (7 * i) % 5, 32, 24) for i in range(count)]


def plain_row(video: Video) -> dict:
    return {"video_id": video.video_id, "value": hash_of(video), "error": None}


def hash_of(video: Video) -> int:
    return sum(ord(letter) * (place + 3) for place, letter in enumerate(video.video_id)) * video.num_frames


def error_row(video: Video, reason: str) -> dict:
    return {"video_id": video.video_id, "value": None, "error": reason}


class MisbehavingWorker:
    """Does to a video what `deeds` says, and notes every call as a file, to be counted from outside."""

    def __init__(self, notes: str, deeds: dict[str, str]) -> None:
        self.notes = Path(notes)
        self.deeds = deeds

    def process(self, videos: Sequence[Video]) -> list[dict]:
        return [self.row(video) for video in videos]

    def row(self, video: Video) -> dict:
        times_before = len(list(self.notes.glob(f"{video.video_id}.*")))
        (self.notes / f"{video.video_id}.{os.getpid()}.{time.monotonic_ns()}").touch()
        deed = self.deeds.get(video.video_id)
        if deed == "die once" and times_before == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "always die":
            os.kill(os.getpid(), signal.SIGKILL)
        if deed == "hang":
            time.sleep(600)
        if deed == "raise":
            raise ValueError("no such thing")
        return plain_row(video)


class Pass:
    """A pass in a folder of its own, with its notes beside it."""

    def __init__(self, folder: Path, count: int) -> None:
        self.notes = folder / "notes"
        self.notes.mkdir(parents=True)
        self.out = str(folder / "out")
        self.videos = make_videos(count)

    def run(self, deeds: dict[str, str] | None = None, **arguments) -> PassSummary:
        make_worker = functools.partial(MisbehavingWorker, str(self.notes), deeds or {})
        progress = arguments.pop("progress", None)
        plan = ActorPlan(**{"actors": 1, "cpus_per_actor": 0.5, "videos_per_chunk": 4, **arguments})
        return run_over_videos(
            self.videos, make_worker, self.out, error_row=error_row, schema=SCHEMA, plan=plan, progress=progress
        )

    def rows(self) -> list[dict]:
        return read_parts(self.out, SCHEMA).sort_by("video_id").to_pylist()

    def calls(self, video_id: str) -> int:
        return len(list(self.notes.glob(f"{video_id}.*")))

    def processes(self) -> set[str]:
        return {note.name.split(".")[1] for note in self.notes.iterdir()}


@pytest.fixture
def make_pass(tmp_path: Path):
    numbers = iter(range(100))
    return lambda count: Pass(tmp_path / str(next(numbers)), count)


def test_in_process_pass_gives_the_rows_of_a_plain_loop(make_pass) -> None:
    work = make_pass(11)
    told: list[tuple[int, int]] = []
    summary = work.run(actors=0, progress=lambda done, total: told.append((done, total)))
    assert work.rows() == [plain_row(video) for video in work.videos]
    assert told == [(0, 11), (4, 11), (8, 11), (11, 11)]
    assert (summary.videos, summary.failed, summary.actor_restarts) == (11, {}, 0)


def test_parts_that_actors_wrote_elsewhere_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three parts one is there, whole, and of another one of its four videos."""
    monkeypatch.setattr("hybridal_ray.dispatch.LISTING_SECONDS", 0.0)
    out, videos = str(tmp_path / "out"), make_videos(12)
    chunks = list(plan := plan_chunks(videos, out, 4))
    parts = Parts(out, SCHEMA, error_row)
    for chunk in (chunks[0], chunks[1].singles()[2]):
        (tmp_path / "out" / f"{chunk.name}.parquet").touch()
    with pytest.raises(
        UserError, match=r"out: 2 of the 3 parts .* are not here; expected a path or URI that all nodes"
    ):
        _refuse_missing_parts(plan, parts, out)


def test_in_process_pass_does_not_touch_ray(make_pass) -> None:
    import subprocess
    import sys

    work = make_pass(3)
    program = (
        "import sys; sys.path[:0] = sys.argv[1:2]\n"
        "import test_dispatch as t, pathlib\n"
        "work = t.Pass(pathlib.Path(sys.argv[2]), 3); work.run(actors=0)\n"
        "assert len(work.rows()) == 3\n"
        "assert 'ray' not in sys.modules\n"
    )
    folder = str(Path(work.out).parent / "inner")
    command = [sys.executable, "-c", program, str(Path(__file__).parent), folder]
    subprocess.run(command, check=True, cwd=Path(__file__).parents[1])


def test_in_process_pass_sets_aside_a_video_that_raises(make_pass) -> None:
    work = make_pass(6)
    summary = work.run({"v002": "raise"}, actors=0)
    reason = "ValueError: no such thing"
    assert summary.failed == {"v002": reason}
    expected = [error_row(v, reason) if v.video_id == "v002" else plain_row(v) for v in work.videos]
    assert work.rows() == expected


def test_resumed_pass_does_only_what_is_missing_and_remembers_failures(make_pass) -> None:
    work = make_pass(12)
    first = work.run({"v002": "raise"}, actors=0)
    before = work.rows()
    lost = sorted(Path(work.out).glob("part-*.parquet"))[1]
    ids = set(pa.parquet.read_table(lost)["video_id"].to_pylist())
    assert "v002" not in ids
    lost.unlink()
    calls = {video.video_id: work.calls(video.video_id) for video in work.videos}
    told: list[tuple[int, int]] = []
    # Another size of chunk does not invalidate the parts that are there.
    second = work.run({"v002": "raise"}, actors=0, videos_per_chunk=5, progress=lambda *n: told.append(n))
    assert work.rows() == before
    assert told == [(8, 12), (12, 12)]
    assert second.failed == first.failed
    redone = {v for v in calls if work.calls(v) > calls[v]}
    assert redone == ids


def test_directory_of_a_pass_over_other_videos_is_refused(make_pass) -> None:
    work = make_pass(5)
    work.run(actors=0)
    work.videos = work.videos[1:]
    with pytest.raises(UserError, match="5 other videos"):
        work.run(actors=0)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
class TestOnActors:
    def test_number_of_actors_does_not_show_in_the_rows(self, make_pass) -> None:
        few, many = make_pass(21), make_pass(21)
        told: list[int] = []
        few.run(actors=1, progress=lambda done, total: told.append(done))
        many.run(actors=3)
        parts = [sorted(path.name for path in Path(work.out).iterdir()) for work in (few, many)]
        assert few.rows() == many.rows() == [plain_row(video) for video in few.videos]
        assert parts[0] == parts[1]
        assert told == sorted(told)
        assert told[-1] == 21
        assert len(few.processes()) == 1

    def test_auto_takes_what_the_cluster_has_and_the_metrics_tell(self, make_pass) -> None:
        import ray

        work = make_pass(24)
        work.run(actors="auto", cpus_per_actor=1, videos_per_chunk=1)
        assert work.rows() == [plain_row(video) for video in work.videos]
        assert 1 <= len(work.processes()) <= ray.cluster_resources()["CPU"]
        port = ray.nodes()[0]["MetricsExportPort"]
        deadline = time.monotonic() + 30
        while "hybridal_videos_done_total" not in (told := metrics(port)):
            assert time.monotonic() < deadline, told[:500]
            time.sleep(1)

    def test_killed_actor_loses_and_doubles_nothing(self, make_pass) -> None:
        work = make_pass(30)
        summary = work.run({"v003": "die once", "v017": "die once"}, actors=2)
        assert work.rows() == [plain_row(video) for video in work.videos]
        assert summary.actor_restarts == 2
        assert summary.failed == {}

    def test_videos_that_kill_hang_or_raise_are_set_aside_and_the_others_done(self, make_pass) -> None:
        work = make_pass(14)
        deeds = {"v001": "always die", "v005": "hang", "v009": "raise"}
        summary = work.run(deeds, actors=2, seconds_per_video=1, videos_per_chunk=2)
        assert set(summary.failed) == set(deeds)
        assert "its process died" in summary.failed["v001"]
        assert "more than 1 s" in summary.failed["v005"]
        assert "no such thing" in summary.failed["v009"]
        assert work.rows() == [
            error_row(v, summary.failed[v.video_id]) if v.video_id in deeds else plain_row(v) for v in work.videos
        ]
        # Once in its chunk, then twice alone.
        assert (work.calls("v005"), work.calls("v001")) == (3, 3)

    def test_interrupted_pass_leaves_no_actor_behind_and_goes_on_later(self, make_pass) -> None:
        work = make_pass(12)

        def interrupt(done: int, total: int) -> None:
            if 0 < done < total:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            work.run(progress=interrupt)
        deadline = time.monotonic() + 20
        while any(Path(f"/proc/{process}").exists() for process in work.processes()):
            assert time.monotonic() < deadline, "an actor outlived its pass"
            time.sleep(0.1)
        finished = {row["video_id"] for row in work.rows()}
        calls = {video_id: work.calls(video_id) for video_id in finished}
        work.run()
        assert work.rows() == [plain_row(video) for video in work.videos]
        assert len(finished) >= 4
        assert all(work.calls(video_id) == count for video_id, count in calls.items())

    def test_error_of_the_user_in_making_a_worker_arrives_as_it_is(self, make_pass) -> None:
        work = make_pass(2)
        with pytest.raises(UserError, match=r"^checkpoint: none is there$"):
            run_over_videos(work.videos, refuse, work.out, error_row=error_row, schema=SCHEMA, plan=ActorPlan(actors=1))

    def test_workers_that_always_die_end_the_pass(self, make_pass, monkeypatch) -> None:
        monkeypatch.setattr("hybridal_ray.crew.DEATHS_IN_A_ROW", 2)
        work = make_pass(4)
        with pytest.raises(RuntimeError, match="2 actors were lost in a row"):
            work.run(dict.fromkeys([video.video_id for video in work.videos], "always die"))

    def test_cluster_without_room_is_waited_for_but_not_for_ever(self, make_pass, monkeypatch) -> None:
        monkeypatch.setattr("hybridal_ray.crew.START_SECONDS", 0.5)
        with pytest.raises(UserError, match=r"no actor of 64 CPUs and 0 GPUs could start within 0.5 s"):
            make_pass(2).run(actors=1, cpus_per_actor=64)


def test_gpu_that_no_actor_reserves_is_refused() -> None:
    with pytest.raises(UserError, match=r"scoring.gpus_per_actor is 0"):
        ActorPlan(actors=1, device="cuda")


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return answer.read().decode()


def refuse() -> MisbehavingWorker:
    raise UserError("checkpoint: none is there")
