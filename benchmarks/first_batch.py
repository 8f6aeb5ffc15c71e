"""What a first batch costs: looking at the videos of a pool, and choosing among many.

``python benchmarks/first_batch.py POOL [--sizes 10000 100000 1000000] [--videos 12 500]``

Looks at every training video of POOL in this process. Then chooses by ``typiclust`` among made-up videos, 96 numbers
each, five of every source. Seconds of the CPU, on one thread, which other programs of the machine disturb less.
"""

import argparse
import tempfile
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from threadpoolctl import threadpool_limits

from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.scoring.appearance import describe_pool
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import run_strategy

WIDTH = 96  # of what a video looks like
A_SOURCE = 5  # videos


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pool")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--videos", type=int, nargs="+", default=[12, 500], help="of the first batch")
    arguments = parser.parse_args()
    videos = load_pool(arguments.pool).usable_videos("train")
    frames = sum(video.num_frames for video in videos)
    with threadpool_limits(limits=1):
        with tempfile.TemporaryDirectory() as folder:
            seconds = cpu_seconds(lambda: describe_pool(videos, folder, plan=ActorPlan(actors=0)))
        print("| looked at | frames | CPU, s | ms a video |\n| ---: | ---: | ---: | ---: |")
        print(f"| {len(videos)} | {frames} | {seconds:.1f} | {1000 * seconds / len(videos):.1f} |\n")
        print("| chosen from | videos | CPU, s |\n| ---: | ---: | ---: |")
        for size in arguments.sizes:
            request = made_request(size)
            for count in arguments.videos:
                print(f"| {size} | {count} | {cpu_seconds(choose(request, count)):.1f} |", flush=True)


def cpu_seconds(work: Callable[[], object]) -> float:
    """Of this process, all its threads."""
    started = time.process_time()
    work()
    return time.process_time() - started


def choose(request: SelectionRequest, count: int) -> Callable[[], object]:
    """A first batch of so many videos, four frames each."""
    fields = {**request.__dict__, "num_videos": count}
    return lambda: run_strategy("typiclust", {}, SelectionRequest(**fields))


def made_request(size: int) -> SelectionRequest:
    """A pool of so many videos that only exist as what they look like."""
    rng = np.random.default_rng(0)
    sources = rng.random((-(-size // A_SOURCE), WIDTH), np.float32)
    latents = sources[np.arange(size) // A_SOURCE] + 0.05 * rng.standard_normal((size, WIDTH), np.float32)
    ids = [f"video-{number:09d}" for number in range(size)]
    offsets = pa.array(np.arange(size + 1, dtype=np.int32) * WIDTH)
    columns = {
        "video_id": pa.array(ids),
        "latent": pa.ListArray.from_arrays(offsets, pa.array(latents.ravel())),
    }
    empty = {field.name: pa.nulls(size, field.type) for field in SCORES_SCHEMA if field.name not in columns}
    scores = ScoreTable(pa.table({name: (columns | empty)[name] for name in SCORES_SCHEMA.names}, schema=SCORES_SCHEMA))
    return SelectionRequest(
        videos=[Video(name, name, "train", name, 100, 64, 48) for name in ids], labelled={}, scores=scores,
        centres=None, num_videos=1, frames_per_video=4, max_frames=None, revisit_fraction=0.0, seed=0,
        memory_mib=4096, clusters_to=None,
    )  # fmt: skip


if __name__ == "__main__":
    main()
