"""What CLAUS costs over pools of ten thousand to ten million videos: seconds, peak memory, bytes on disk.

``python benchmarks/selection_scale.py --out OUT [--sizes 10000 100000 1000000 10000000] [--memory-mib 256]``

The scores are made up: latents of 408 numbers around as many points as there are clusters, on one thread. Each case
runs in a process of its own. Pools are made batch by batch while they are selected from; what making them took is
clocked and told apart. With ``--on-disk`` pools of up to that many videos are also written as part files and read
from there, in parts of each of ``--rows-per-part``.
Leaves ``selection_scale.json`` and ``selection_scale.md`` in OUT.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from threadpoolctl import threadpool_limits

from hybridal_ray.pool import table_files
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.selection.claus import Claus
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreBatches, ScoreParts, cut_anew

WIDTH = 408  # of the capsule detector's latent on 24 classes
CLUSTERS = 5
FRAMES = 4  # bought in a video
PROFILE = 160  # frames of a video; UCF-101-24 has 177 on average
MADE_AT_ONCE = 4096
LABELLED = 1000  # videos
COLUMNS = {
    "videos": "videos",
    "scores": "scores",
    "centres": "centres",
    "videos_per_round": "bought from",
    "seconds": "selecting, s",
    "cpu_seconds": "of the CPU, s",
    "microseconds_per_video": "µs a video",
    "source_cpu_seconds": "making or reading, of the CPU, s",
    "start_mib": "before, MiB",
    "peak_mib": "peak, MiB",
}
STORED_COLUMNS = {
    "videos": "videos",
    "rows_per_part": "rows a part",
    "bytes_per_video": "bytes a video",
    "latent": "latent",
    "profile": "profile",
    "rest": "rest",
    "overhead": "footers and headers",
}
CENTRES_BY_PASSES = {1: "checkpoint", 2: "k-means", 3: "mini-batch k-means"}


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        videos: In the pool.
        centres: Whether the checkpoint holds centres; k-means has to find them where it does not.
        videos_per_round: To buy from.
        memory_mib: `SelectionRequest.memory_mib`.
        parts: Directory of part files, None for scores that are made on the fly.
        rows_per_part: Of these files.
    """

    videos: int
    centres: bool
    videos_per_round: int
    memory_mib: int
    parts: str | None = None
    rows_per_part: int | None = None


@dataclass(frozen=True)
class MadeScores:
    """Scores of a pool that exists nowhere: every batch is a function of the seed and its number.

    Attributes:
        videos: In the pool.
        seed: Of everything.
    """

    videos: int
    seed: int = 0

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """See `ScoreBatches`."""
        starts = range(0, self.videos, MADE_AT_ONCE)
        return cut_anew((self._make(start).select(columns) for start in starts), rows)

    def _make(self, start: int) -> pa.Table:
        count = min(MADE_AT_ONCE, self.videos - start)
        rng = np.random.default_rng([self.seed, start])
        frames = rng.integers(0, PROFILE // FRAMES, (count, FRAMES)) + np.arange(0, PROFILE, PROFILE // FRAMES)
        columns = {
            "video_id": pa.array([f"video-{number:09d}" for number in range(start, start + count)]),
            "video_score": pa.array(rng.normal(size=count)),
            "frames": _lists(frames.astype(np.int32)),
            "frame_scores": _lists(rng.normal(size=(count, FRAMES))),
            "frame_penalties": _lists(rng.random((count, FRAMES))),
            "latent": _lists(made_centres()[_around(rng, count)] + rng.random((count, WIDTH), np.float32) - 0.5),
        }
        rest = {field.name: pa.nulls(count, field.type) for field in SCORES_SCHEMA if field.name not in columns}
        return pa.table([(columns | rest)[name] for name in SCORES_SCHEMA.names], schema=SCORES_SCHEMA)


class Clocked:
    """Scores whose making or reading is clocked.

    Attributes:
        seconds: What it took so far.
        cpu_seconds: The same in time of the CPU, which other programs on the machine change less.
        passes: How often the scores were gone through.
    """

    def __init__(self, scores: ScoreBatches) -> None:
        self._scores = scores
        self.seconds = self.cpu_seconds = 0.0
        self.passes = 0

    def batches(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """See `ScoreBatches`."""
        self.passes += 1
        source = self._scores.batches(columns, rows)
        while True:
            started, cpu_started = time.perf_counter(), time.process_time()
            batch = next(source, None)
            self.seconds += time.perf_counter() - started
            self.cpu_seconds += time.process_time() - cpu_started
            if batch is None:
                return
            yield batch


def main() -> None:
    """Measures every case in turn, then writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000])
    parser.add_argument("--videos-per-round", type=int, nargs="+", default=[1000])
    parser.add_argument("--memory-mib", type=int, default=256)
    parser.add_argument("--on-disk", type=int, default=0, help="largest pool that is written to disk")
    parser.add_argument("--rows-per-part", type=int, nargs="+", default=[8, 64, 1024])
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = [
        _apart(Case(size, centres, budget, arguments.memory_mib))
        for size in arguments.sizes
        for budget in arguments.videos_per_round
        for centres in (True, False)
    ]
    stored = []
    for size in (size for size in arguments.sizes if size <= arguments.on_disk):
        for rows in arguments.rows_per_part:
            with tempfile.TemporaryDirectory(dir=arguments.out) as folder:
                stored.append(_write_parts(MadeScores(size), rows, Path(folder)))
                case = Case(size, True, arguments.videos_per_round[0], arguments.memory_mib, folder, rows)
                results.append(_apart(case))
    (arguments.out / "selection_scale.json").write_text(json.dumps({"selection": results, "disk": stored}, indent=1))
    text = "\n\n".join(_markdown(*table) for table in ((results, COLUMNS), (stored, STORED_COLUMNS)) if table[0])
    (arguments.out / "selection_scale.md").write_text(text + "\n")
    print(text)


def measure(case: Case) -> dict[str, Any]:
    """Selects from the pool of a case in this process, which should be a fresh one."""
    scores = Clocked(MadeScores(case.videos) if case.parts is None else ScoreParts(case.parts))
    rng = np.random.default_rng(1)
    labelled = {f"video-{number:09d}": [0] for number in rng.integers(0, case.videos, LABELLED)}
    with tempfile.TemporaryDirectory() as folder, threadpool_limits(limits=1):
        request = SelectionRequest(
            videos=(),
            labelled=labelled,
            scores=scores,
            centres=made_centres() if case.centres else None,
            num_videos=case.videos_per_round,
            frames_per_video=FRAMES,
            max_frames=None,
            revisit_fraction=0.0,
            seed=0,
            memory_mib=case.memory_mib,
            clusters_to=f"{folder}/clusters.parquet",
        )
        start_mib = _peak_mib()
        started, cpu_started = time.perf_counter(), time.process_time()
        picks = Claus(CLUSTERS).select(request).picks
        seconds = time.perf_counter() - started - scores.seconds
        cpu_seconds = time.process_time() - cpu_started - scores.cpu_seconds
    return {
        "videos": case.videos,
        "scores": "made" if case.parts is None else f"on disk, {case.rows_per_part} a part",
        "centres": CENTRES_BY_PASSES[scores.passes],
        "videos_per_round": case.videos_per_round,
        "memory_mib": case.memory_mib,
        "frames": len(picks),
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "microseconds_per_video": cpu_seconds / case.videos * 1e6,
        "source_seconds": scores.seconds,
        "source_cpu_seconds": scores.cpu_seconds,
        "start_mib": start_mib,
        "peak_mib": _peak_mib(),
    }


def made_centres() -> npt.NDArray[np.float32]:
    """The points that the latents lie around, (K, D)."""
    return np.random.default_rng(7).random((CLUSTERS, WIDTH), np.float32)


def _around(rng: np.random.Generator, count: int) -> npt.NDArray[np.integer]:
    """Which of these points each latent lies around, (V,): the first far more often than the last."""
    return np.searchsorted([0.5, 0.75, 0.87, 0.95], rng.random(count))


def _apart(case: Case) -> dict[str, Any]:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        result = process.submit(measure, case).result()
    print(json.dumps(result), flush=True)
    return result


def _write_parts(scores: MadeScores, rows: int, folder: Path) -> dict[str, Any]:
    """Writes the scores as a scoring pass does, profiles included, and says what of a video takes how many bytes."""
    rng = np.random.default_rng(2)
    taken = dict.fromkeys(("latent", "profile", "rest"), 0)
    whole = 0
    for number, table in enumerate(scores.batches(SCORES_SCHEMA.names, rows)):
        # Neighbouring frames resemble each other, as they do where they come from one clip.
        profiles = np.cumsum(rng.normal(size=(len(table), PROFILE)), axis=1).astype(np.float32)
        place = table.schema.get_field_index("profile")
        part = folder / f"part-{number:07d}.parquet"
        whole_rows = table.set_column(place, SCORES_SCHEMA.field("profile"), _lists(profiles))
        table_files.write_table(str(part), whole_rows)
        whole += part.stat().st_size
        group = pq.read_metadata(part).row_group(0)
        for column in map(group.column, range(group.num_columns)):
            name = column.path_in_schema.partition(".")[0]
            taken[name if name in taken else "rest"] += column.total_compressed_size
    per_video = {name: size / scores.videos for name, size in taken.items()}
    overhead = (whole - sum(taken.values())) / scores.videos
    return {
        "videos": scores.videos,
        "rows_per_part": rows,
        "bytes_per_video": whole / scores.videos,
        **per_video,
        "overhead": overhead,
    }


def _lists(values: npt.NDArray[Any]) -> pa.Array:
    """(V, N) as V lists of N."""
    offsets = np.arange(0, values.size + 1, values.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(values.ravel()))


def _peak_mib() -> float:
    """The most memory that this process ever held, as Linux tells; `getrusage` would tell its parent's too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def _markdown(rows: Sequence[dict[str, Any]], columns: dict[str, str]) -> str:
    lines = ["| " + " | ".join(columns.values()) + " |", "| --- " * len(columns) + "|"]
    lines += ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows]
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


if __name__ == "__main__":
    main()
