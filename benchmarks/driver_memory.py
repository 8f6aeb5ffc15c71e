"""Memory of the driver against the size of the pool, with a stub in place of the detector.

``python benchmarks/driver_memory.py --out OUT [--videos 1000 10000 100000] [--actors 1]``

For each size, and each way to hold the videos, a process of its own makes a table of videos that do not exist, warms up
with a pass over a hundred of them, and runs a pass over all on Ray actors (chunks of 8, one row of scores with a latent
of 408 numbers a video, written to Parquet). Memory is sampled five times a second. "Anonymous" is what only this
process holds and no page of a file: the pages of a memory-mapped table can be dropped at any time, and are not in it.
Leaves ``driver_memory.json`` and ``driver_memory.md`` in OUT.
"""

import argparse
import gc
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray import cluster
from hybridal_ray.chunk_plan import plan_chunks
from hybridal_ray.dispatch import ActorPlan, run_over_videos
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, Video
from hybridal_ray.scoring.video_scoring import error_row
from hybridal_ray.video_rows import VideoRows

HELD = ("list of objects", "rows of a table", "rows of a mapped table")
WARM_UP = 100  # videos
ROW = {
    "video_score": 0.5, "frames": [3], "frame_scores": [0.5], "frame_penalties": [0.0], "latent": [0.25] * 408,
    "profile": [0.5] * 40, "empty_frames": 0, "error": None,
}  # fmt: skip


class StubWorker:
    """Scores without looking."""

    def process(self, videos: Sequence[Video]) -> list[dict[str, Any]]:
        """The same row for each video."""
        return [{"video_id": video.video_id, **ROW} for video in videos]


class Sampler(threading.Thread):
    """The largest resident and anonymous memory of this process while it runs, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.resident = self.anonymous = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Samples until `ended`."""
        while not self.ended.wait(0.2):
            resident, anonymous = memory()
            self.resident, self.anonymous = max(self.resident, resident), max(self.anonymous, anonymous)


def memory() -> tuple[float, float]:
    """Resident and anonymous memory of this process, in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident, anonymous = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "RssAnon"))
    return resident, anonymous


def write_videos(file: Path, count: int) -> None:
    """A table of made videos, as long as those of a pool: 64 to 320 frames, locations of 60 characters."""
    writer = pq.ParquetWriter(file, VIDEOS_SCHEMA)
    for start in range(0, count, 10_000):
        rows = [
            {
                "video_id": f"video-{i:09d}", "uri": f"s3://a-bucket/pool/videos/group-{i % 997:04d}/video-{i:09d}.mp4",
                "split": "train", "group": f"group-{i % 997:04d}", "num_frames": 64 + (i * 7919) % 257, "fps": 25.0,
                "width": 320, "height": 240, "status": "ok", "reason": None,
            }
            for i in range(start, min(start + 10_000, count))
        ]  # fmt: skip
        writer.write_table(pa.Table.from_pylist(rows, VIDEOS_SCHEMA))
    writer.close()


def hold(how: str, file: Path) -> Sequence[Video]:
    """The videos of a table, held in one of the three ways."""
    if how == "rows of a mapped table":
        mapped = file.with_suffix(".arrow")
        with (
            pq.ParquetFile(file) as source,
            pa.OSFile(str(mapped), "wb") as sink,
            pa.ipc.new_file(sink, VIDEOS_SCHEMA) as writer,
        ):
            for batch in source.iter_batches(10_000):
                writer.write_batch(batch)
        return VideoRows(pa.ipc.open_file(pa.memory_map(str(mapped))).read_all(), "/")
    rows = VideoRows(pq.read_table(file), "/")
    return list(rows) if how == "list of objects" else rows


def measure(how: str, count: int, actors: int, folder: Path) -> dict[str, Any]:
    """One pass in this process."""
    cluster.connect()
    plan = ActorPlan(actors, cpus_per_actor=0.5)

    def run(videos: Sequence[Video], name: str) -> None:
        run_over_videos(videos, StubWorker, str(folder / name), error_row=error_row, schema=SCORES_SCHEMA, plan=plan)

    run(hold(how, folder / f"videos-{WARM_UP}.parquet"), "warm-up")
    gc.collect()
    pa.default_memory_pool().release_unused()
    before = memory()
    sampler = Sampler()
    sampler.start()
    videos = hold(how, folder / f"videos-{count}.parquet")
    began = time.perf_counter()
    run(videos, "pass")
    seconds = time.perf_counter() - began
    sampler.ended.set()
    sampler.join()
    began = time.perf_counter()
    chunks = len(plan_chunks(videos, str(folder / "pass"), 8))
    return {
        "held": how, "videos": count, "chunks": chunks, "seconds": seconds,
        "plan_seconds": time.perf_counter() - began, "resident_before": before[0], "anonymous_before": before[1],
        "resident": sampler.resident, "anonymous": sampler.anonymous,
    }  # fmt: skip


def write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The measurements so far."""
    (out / "driver_memory.json").write_text(json.dumps(list(rows), indent=1) + "\n")
    lines = [
        "| videos held as | videos | anonymous before, MiB | most in the pass | growth | resident, most | videos/s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        growth = row["anonymous"] - row["anonymous_before"]
        lines.append(
            f"| {row['held']} | {row['videos']:,} | {row['anonymous_before']:.0f} | {row['anonymous']:.0f} "
            f"| {growth:+.0f} | {row['resident']:.0f} | {row['videos'] / row['seconds']:.0f} |"
        )
    (out / "driver_memory.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--videos", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--held", nargs="+", choices=HELD, default=list(HELD), metavar="WAY")
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--one", nargs=2, metavar=("WAY", "VIDEOS"), help="Measure in this process, and print.")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]), arguments.actors, out)))
        return
    rows = []
    for how in arguments.held:
        for count in arguments.videos:
            folder = out / "pass"
            folder.mkdir()
            for size in {WARM_UP, count}:  # here, so that what it takes does not show there
                write_videos(folder / f"videos-{size}.parquet", size)
            command = [sys.executable, __file__, "--out", str(folder), "--actors", str(arguments.actors)]
            ended = subprocess.run([*command, "--one", how, str(count)], stdout=subprocess.PIPE, text=True, check=True)
            shutil.rmtree(folder)
            rows.append(json.loads(ended.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            write_table(out, rows)
    print((out / "driver_memory.md").read_text())


if __name__ == "__main__":
    main()
