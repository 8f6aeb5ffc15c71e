"""What faults do to a scoring pass: every video scored once or recorded with its reason, and the same selection.

``python benchmarks/scoring_faults.py --out OUT [--times N] [--faults NAME …]``

A cluster of two raylets on this machine, one actor on each; a pool of demo videos, a small detector, chunks of two. The
reference is scored in this process, without Ray. After each try the rows are counted and compared with it, bit by bit,
and CLAUS selects from them. A full disk is a file system of 1 MiB, which takes root to mount; without it that fault is
left out. Leaves ``scoring_faults.json`` and ``scoring_faults.md`` in OUT; the exit code is 1 when a try has not passed.
"""

import argparse
import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import torch
from faulty_worker import FAULTS, Fault, FaultyWorker

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan, PassSummary, run_over_videos
from hybridal_ray.errors import UserError
from hybridal_ray.pass_progress import PassProgress, Watch
from hybridal_ray.pool.demo import generate_demo_pool
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.scoring.pool_scorer import PoolWorker, read_scores
from hybridal_ray.scoring.video_scoring import UncertaintySettings, error_row
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.score_batches import ScoreTable
from hybridal_ray.selection.strategies import run_strategy

SPEC = DetectorSpec("compact", 3, input_size=32, clip_frames=8, clip_stride=2, options={"width": 8, "pyramid_width": 8})
SETTINGS = UncertaintySettings(
    passes=3, reading="mean_of_log", reduction="mean", foreground_threshold=0.1, empty_frame_score=0.0,
    frames_per_video=3, sigma=8 / 3, window=4, spacing="window",
)  # fmt: skip
PLAN = ActorPlan(2, cpus_per_actor=1, device="cpu", videos_per_chunk=2, seconds_per_video=4)
FULL_DISK_MIB = 1


@dataclass(frozen=True)
class Try:
    """How one try of a fault ended."""

    fault: str
    lost: int
    doubled: int
    recorded: bool
    same_scores: bool
    same_selection: bool
    restarts: int
    passes: int
    asked_again: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether nothing was lost or doubled, and nothing but the victim shows it."""
        return self.lost == self.doubled == 0 and self.recorded and self.same_scores and self.same_selection


class Bench:
    """The pool, the detector, the cluster and the reference."""

    def __init__(self, out: Path) -> None:
        import ray
        from ray.cluster_utils import Cluster

        self.out = out
        pool, self.checkpoint = str(out / "pool"), str(out / "checkpoint")
        generate_demo_pool(pool, videos=30, seed=0)
        self.videos = load_pool(pool).usable_videos("train")
        torch.manual_seed(2)
        save_detector(self.checkpoint, SPEC, build_detector(SPEC).state_dict(), None)
        self.victim = sorted(self.videos, key=lambda video: (-video.num_frames, video.video_id))[9]
        reference = out / "reference"
        self.run(reference, Fault(), replace(PLAN, actors=0))
        self.scores = read_scores(str(reference / "scores"))
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": 100_000_000,
                            "node_ip_address": "127.0.0.1"},
        )  # fmt: skip
        ray.init(address=self.cluster.address, log_to_driver=False)
        self.second: Any = None

    def close(self) -> None:
        """Leaves the cluster and ends it."""
        import ray

        ray.shutdown()
        self.cluster.shutdown()

    def try_fault(self, name: str, number: int) -> Try:
        """One pass with the fault, and as many more as it takes to come to its end."""
        fault, folder = FAULTS[name], self.out / f"{name.replace(' ', '-').replace(',', '')}-{number}"
        if self.second is None:
            self.second = self.cluster.add_node(
                num_cpus=1, node_ip_address="127.0.0.1", object_store_memory=100_000_000
            )
        began, restarts, passes = time.monotonic(), 0, 0
        with _small_disk(folder) if fault.at_first_news == "fill disk" else contextlib.nullcontext():
            while True:
                passes += 1
                try:
                    summary = self.run(folder, fault if passes == 1 else replace(fault, at_first_news=None), PLAN)
                    break
                except (KeyboardInterrupt, UserError) as error:
                    print(f"  pass {passes} ended: {type(error).__name__} {error}", flush=True)
                    (folder / "scores" / "filler").unlink(missing_ok=True)
            seconds = time.monotonic() - began
            scores = read_scores(str(folder / "scores"))
        restarts += summary.actor_restarts
        return self._judge(name, folder, scores, restarts, passes, seconds)

    def run(self, folder: Path, fault: Fault, plan: ActorPlan) -> PassSummary:
        """One pass."""
        notes = folder.with_name(folder.name + "-notes")
        notes.mkdir(parents=True, exist_ok=True)
        worker = functools.partial(
            PoolWorker, {}, self.checkpoint, SETTINGS, run_seed=1, round_index=0, device="cpu", feature_cache=None,
            shortcuts=None, autocast=None,
        )  # fmt: skip
        make_worker = functools.partial(FaultyWorker, worker, fault.deed, self.victim.video_id, str(notes))
        return run_over_videos(
            self.videos, make_worker, str(folder / "scores"), error_row=error_row, schema=SCORES_SCHEMA, plan=plan,
            watch=self._at_first_news(fault, folder),
        )  # fmt: skip

    def _at_first_news(self, fault: Fault, folder: Path) -> Watch:
        waiting = True

        def watch(progress: PassProgress) -> None:
            nonlocal waiting
            if progress.videos_done and waiting:
                waiting = False
                if fault.at_first_news == "interrupt":
                    raise KeyboardInterrupt
                if fault.at_first_news == "fill disk":
                    with contextlib.suppress(OSError), (folder / "scores" / "filler").open("wb", 0) as filler:
                        filler.write(bytes(FULL_DISK_MIB << 20))
                if fault.at_first_news == "kill node":
                    raylet = psutil.Process(self.second.all_processes["raylet"][0].process.pid)
                    for process in (raylet, *raylet.children(recursive=True)):  # a machine takes all of them along
                        with contextlib.suppress(psutil.NoSuchProcess):
                            process.kill()
                    self.second = None  # another is added for the next try

        return watch

    def _judge(self, name: str, folder: Path, scores: pa.Table, restarts: int, passes: int, seconds: float) -> Try:
        fault, victim = FAULTS[name], self.victim
        rows = {row["video_id"]: row for row in scores.to_pylist()}
        expected = {row["video_id"]: row for row in self.scores.to_pylist()}
        if fault.reason is not None:
            reason = rows.get(victim.video_id, {}).get("error")
            recorded = reason is not None and fault.reason in reason
            expected[victim.video_id] = error_row(victim, str(reason))
        else:
            recorded = all(row["error"] is None for row in rows.values())
        table = pa.Table.from_pylist(list(expected.values()), schema=SCORES_SCHEMA)
        notes = [note.name.split(".")[1] for note in folder.with_name(folder.name + "-notes").glob("asked.*")]
        return Try(
            name,
            lost=len({video.video_id for video in self.videos} - rows.keys()),
            doubled=len(scores) - len(rows),
            recorded=recorded,
            same_scores=rows == expected,
            same_selection=self._selected(scores) == self._selected(table),
            restarts=restarts, passes=passes, asked_again=len(notes) - len(set(notes)), seconds=seconds,
        )  # fmt: skip

    def _selected(self, scores: pa.Table) -> list[tuple[str, int]]:
        request = SelectionRequest(
            videos=self.videos, labelled={}, scores=ScoreTable(scores), centres=None, num_videos=8, frames_per_video=3,
            max_frames=None, revisit_fraction=0.0, seed=1, memory_mib=1024, clusters_to=None,
        )  # fmt: skip
        picks = run_strategy("claus", {"clusters": 3}, request).picks
        found = list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True))
        if len(np.unique(picks["uncertainty"].to_numpy())) < len(found) // 2:
            raise SystemExit("most frames scored alike: equal selections would prove nothing")
        return found


@contextlib.contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    """A file system of its own for the scores, which a file can fill."""
    scores = folder / "scores"
    scores.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FULL_DISK_MIB}m", "tmpfs", str(scores)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(scores)], check=True)


def _write(out: Path, tries: Sequence[Try], videos: int) -> None:
    (out / "scoring_faults.json").write_text(json.dumps([asdict(each) for each in tries], indent=1) + "\n")
    lines = [
        f"Passes over {videos} videos.\n",
        "| fault | tried | videos lost | scored twice | recorded as it should be | same scores | same selection "
        "| actors replaced | passes | videos asked for again | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in dict.fromkeys(each.fault for each in tries):
        of_fault = [each for each in tries if each.fault == name]
        yes = [
            "yes" if all(getattr(each, field) for each in of_fault) else "**no**"
            for field in ("recorded", "same_scores", "same_selection")
        ]
        most = [str(max(getattr(each, f) for each in of_fault)) for f in ("restarts", "passes", "asked_again")]
        lost, doubled = sum(each.lost for each in of_fault), sum(each.doubled for each in of_fault)
        seconds = sum(each.seconds for each in of_fault) / len(of_fault)
        cells = [name, str(len(of_fault)), str(lost), str(doubled), *yes, *most, f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    (out / "scoring_faults.md").write_text("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--times", type=int, default=1, help="Tries of each fault.")
    parser.add_argument("--faults", nargs="+", default=list(FAULTS), choices=list(FAULTS), metavar="NAME")
    arguments = parser.parse_args()
    for name, value in {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_AUTH_MODE": "disabled"}.items():
        os.environ.setdefault(name, value)
    out = arguments.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    bench = Bench(out)
    tries: list[Try] = []
    try:
        for name in arguments.faults:
            if FAULTS[name].at_first_news == "fill disk" and os.geteuid() != 0:
                continue
            for number in range(arguments.times):
                tries.append(bench.try_fault(name, number))
                print(tries[-1], flush=True)
                _write(out, tries, len(bench.videos))
    finally:
        bench.close()
    print((out / "scoring_faults.md").read_text())
    return 0 if all(each.passed for each in tries) else 1


if __name__ == "__main__":
    sys.exit(main())
