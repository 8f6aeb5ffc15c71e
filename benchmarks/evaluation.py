"""How long every figure takes on the test split of UCF101-24, and how much memory.

``python benchmarks/evaluation.py --annotations pyannot.pkl --test-list testlist01.txt --out OUT [--detections 50]``

The ground truth of all 901 test videos is met by that many jittered detections on every frame, in tubes as long as the
video: half of them of the right class. They are written to a file first; a process of its own, on one core, then reads
it and computes every metric of every convention with its intervals, and the error analysis. Leaves
``evaluation.json`` and ``evaluation.md`` in OUT.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.evaluation.analysis import analyse
from hybridal_ray.evaluation.metrics import figures, gather_evidence
from hybridal_ray.evaluation.prediction_files import prediction_tables
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA
from hybridal_ray.pool.untrusted import unpickle

WIDTH, HEIGHT = 320, 240


def main() -> None:
    """Writes the predictions, then measures in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", required=True, type=Path, help="pyannot.pkl of the corrected annotations.")
    parser.add_argument("--test-list", required=True, type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--detections", type=int, default=50, help="On every frame.")
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    truth, lengths, classes = read_truth(arguments.annotations, arguments.test_list)
    predictions = arguments.out / "predictions.parquet"
    if arguments.measure:
        _measure(predictions, truth, lengths, classes, arguments.out)
        return
    with pq.ParquetWriter(predictions, PREDICTIONS_SCHEMA) as writer:
        for table in jittered(truth, lengths, arguments.detections, seed=0):
            writer.write_table(table)
    subprocess.run([sys.executable, *sys.argv, "--measure"], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    print((arguments.out / "evaluation.md").read_text())


def read_truth(annotations: Path, test_list: Path) -> tuple[pa.Table, dict[str, int], list[str]]:
    """The ground truth of the test videos.

    Boxes are stored as x, y, width and height, most of them in 8 bits, in which x + width would overflow.

    Returns:
        Table of `TUBES_SCHEMA`, the number of frames by video id, and the class names.
    """
    videos = unpickle(str(annotations))
    names = [name for name in test_list.read_text().split() if name in videos]
    classes = sorted({name.partition("/")[0] for name in names})
    tables = []
    for name in names:
        for number, tube in enumerate(videos[name]["annotations"]):
            boxes = tube["boxes"].astype(np.float32)
            frames = np.arange(int(tube["sf"]), int(tube["ef"]))
            corners = [boxes[:, 0], boxes[:, 1], boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]]
            labels = {"video_id": name, "tube_id": f"{number:02d}", "class_id": classes.index(name.partition("/")[0])}
            columns = {key: [value] * len(frames) for key, value in labels.items()}
            named = dict(zip(("x1", "y1", "x2", "y2"), corners, strict=True))
            tables.append(pa.table({**columns, "frame": frames, **named, "mask": [None] * len(frames)}))
    chosen = [table.select(TUBES_SCHEMA.names).cast(TUBES_SCHEMA) for table in tables]
    return pa.concat_tables(chosen), {name: int(videos[name]["numf"]) for name in names}, classes


def jittered(truth: pa.Table, lengths: dict[str, int], detections: int, seed: int) -> Iterator[pa.Table]:
    """Tubes as long as each video around its true ones, a table a video."""
    generator = np.random.default_rng(seed)
    num_classes = int(np.max(truth["class_id"].to_numpy())) + 1
    rows: dict[str, list[int]] = {video: [] for video in lengths}
    for number, video in enumerate(truth["video_id"].to_pylist()):
        rows[video].append(number)
    for video, length in lengths.items():
        own = truth.take(rows[video])
        tube_ids = np.array(own["tube_id"].to_pylist())
        boxes = np.stack([own[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], axis=1)
        frames = own["frame"].to_numpy()
        every = np.arange(length)
        tubes = []
        for number in range(detections):
            followed = tube_ids == np.unique(tube_ids)[number % len(np.unique(tube_ids))]
            path = np.stack([np.interp(every, frames[followed], boxes[followed, k]) for k in range(4)], axis=1)
            sides = np.tile(path[:, 2:] - path[:, :2], 2)
            noise = generator.normal(0, generator.uniform(0.01, 0.15), path.shape) * sides
            tubes.append(path + noise)
        found = np.concatenate(tubes)
        corners = np.concatenate(
            [np.minimum(found[:, :2], found[:, 2:]), np.maximum(found[:, :2], found[:, 2:])], axis=1
        )
        right = generator.random(detections) < 0.5
        classes = np.where(right, own["class_id"][0].as_py(), generator.integers(0, num_classes, detections))
        columns = {
            "video_id": [video] * len(found),
            "tube_id": np.repeat([f"tube-{number:03d}" for number in range(detections)], length),
            "frame": np.tile(every, detections),
            "class_id": np.repeat(classes, length),
            "score": generator.random(len(found)),
            "tube_score": np.repeat(generator.random(detections), length),
            **{name: corners[:, k] for k, name in enumerate(("x1", "y1", "x2", "y2"))},
        }
        yield pa.table(columns).select(PREDICTIONS_SCHEMA.names).cast(PREDICTIONS_SCHEMA)


def _measure(predictions: Path, truth: pa.Table, lengths: dict[str, int], classes: list[str], out: Path) -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    before = _peak_mib()
    started, cpu_before = time.perf_counter(), time.process_time()
    evidence = gather_evidence(prediction_tables(str(predictions)), truth, list(lengths), classes)
    gathered = time.perf_counter()
    metrics = figures(evidence, classes)
    measured = time.perf_counter()
    analyse(evidence, classes)
    ended = time.perf_counter()
    result: dict[str, Any] = {
        "videos": metrics["videos"],
        "detections": len(evidence.by_class.boxes.videos),
        "truth_boxes": metrics["truth_boxes"],
        "gathering_seconds": gathered - started,
        "figures_seconds": measured - gathered,
        "analysis_seconds": ended - measured,
        "seconds": ended - started,
        "cpu_seconds": time.process_time() - cpu_before,
        "peak_mib": _peak_mib(),
        "peak_mib_before": before,
        "figures": {name: value for name, value in metrics.items() if "/" in name},
    }
    (out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    rows = [f"| {name} | {result[name]:,.1f} |" for name in result if isinstance(result[name], int | float)]
    (out / "evaluation.md").write_text("\n".join(["| | |", "| --- | ---: |", *rows, ""]))


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
