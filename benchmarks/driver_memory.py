"""Memory of the driver against the size of the pool, with a stub in place of the detector.

``python benchmarks/driver_memory.py --out OUT [--videos 1000 10000 100000] [--actors 1] [--chunk auto]``

For each size, and each way to hold the videos, a process of its own warms up with a pass over a hundred made videos,
reads a table of videos that do not exist, and runs a pass over all on Ray actors (one row of scores with a latent of
408 numbers a video, written to Parquet). Memory is "anonymous", what only this process holds and no page of a file:
read before the table, with the table in memory, and ten times a second during the pass, beside what tracemalloc calls
the peak of Python's objects in planning. Leaves ``driver_memory.json`` and ``driver_memory.md`` in OUT.
"""

import argparse
import gc
import json
import shutil
import subprocess
import sys
import threading
import time
import tracemalloc
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

HELD = ("rows of the pool's table", "list of objects")
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
    """The largest anonymous memory of this process while it runs, in MiB."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0.0
        self.ended = threading.Event()

    def run(self) -> None:
        """Samples until `ended`."""
        while not self.ended.wait(0.1):
            self.most = max(self.most, anonymous())


def anonymous() -> float:
    """Anonymous memory of this process, in MiB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(lines["RssAnon"].split()[0]) / 1024


def settled() -> float:
    """The same once all is given back that was freed."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    return anonymous()


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
    """The videos of a table, held in one of the two ways."""
    rows = VideoRows.usable(pq.read_table(file), "train", "/")
    return list(rows) if how == "list of objects" else rows


def measure(how: str, count: int, plan: ActorPlan, folder: Path) -> dict[str, Any]:
    """One pass in this process."""
    cluster.connect()

    def run(videos: Sequence[Video], name: str) -> None:
        run_over_videos(videos, StubWorker, str(folder / name), error_row=error_row, schema=SCORES_SCHEMA, plan=plan)

    run(hold(how, folder / f"videos-{WARM_UP}.parquet"), "warm-up")
    without = settled()
    videos = hold(how, folder / f"videos-{count}.parquet")
    held = settled()
    sampler = Sampler()
    sampler.start()
    began = time.perf_counter()
    run(videos, "pass")
    seconds = time.perf_counter() - began
    sampler.ended.set()
    sampler.join()
    tracemalloc.start()
    began = time.perf_counter()
    chunks = plan_chunks(videos, str(folder / "pass"), plan.videos_per_chunk)
    planned = time.perf_counter() - began
    return {
        "held": how, "videos": count, "chunks": len(chunks), "seconds": seconds, "plan_seconds": planned,
        "plan_peak": tracemalloc.get_traced_memory()[1] / 2**20, "without_videos": without, "with_videos": held,
        "most": sampler.most, "after": settled(),
    }  # fmt: skip


def write_table(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The measurements so far."""
    (out / "driver_memory.json").write_text(json.dumps(list(rows), indent=1) + "\n")
    lines = [
        "| videos held as | videos | parts | before, MiB | the videos | the pass, at most | planning, Python's objects "
        "| videos/s |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        table, growth = row["with_videos"] - row["without_videos"], row["most"] - row["with_videos"]
        lines.append(
            f"| {row['held']} | {row['videos']:,} | {row['chunks']:,} | {row['without_videos']:.0f} | {table:+.1f} "
            f"| {growth:+.1f} | {row['plan_peak']:.1f} | {row['videos'] / row['seconds']:.0f} |"
        )
    (out / "driver_memory.md").write_text("\n".join(lines) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--videos", nargs="+", type=int, default=[1_000, 10_000, 100_000])
    parser.add_argument("--held", nargs="+", choices=HELD, default=list(HELD), metavar="WAY")
    parser.add_argument("--actors", type=int, default=1)
    parser.add_argument("--chunk", default="auto", help="Videos in a chunk.")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "VIDEOS"), help="Measure in this process, and print.")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    if arguments.one:
        size: Any = arguments.chunk if arguments.chunk == "auto" else int(arguments.chunk)
        plan = ActorPlan(arguments.actors, cpus_per_actor=0.5, videos_per_chunk=size)
        print(json.dumps(measure(arguments.one[0], int(arguments.one[1]), plan, out)))
        return
    rows = []
    for how in arguments.held:
        for count in arguments.videos:
            folder = out / "pass"
            folder.mkdir()
            for size in {WARM_UP, count}:  # here, so that what it takes does not show there
                write_videos(folder / f"videos-{size}.parquet", size)
            command = [sys.executable, __file__, "--out", str(folder), "--actors", str(arguments.actors)]
            command += ["--chunk", arguments.chunk, "--one", how, str(count)]
            ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            shutil.rmtree(folder)
            rows.append(json.loads(ended.stdout.splitlines()[-1]))
            print(rows[-1], flush=True)
            write_table(out, rows)
    print((out / "driver_memory.md").read_text())


if __name__ == "__main__":
    main()
