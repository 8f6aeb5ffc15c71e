"""What a training step costs, and what Ray Train adds to it.

``python benchmarks/training.py --pool POOL --out OUT [--detector compact] [--size 64] [--repeats 3] [--workers 1 2]``

In one run, in turn and several times over: a plain PyTorch loop, the package's loop in the same process, and the
same under Ray Train with one worker and more. All train the same detector on the same clips of the same labels.
A step's time is that of whole epochs but the first, what lies between epochs (checkpoint, report) told apart, and so
is the CPU time of its process, which other programs of the machine disturb less. The ways take turns at being first,
and Ray's workers are not niced, as they are by default, since no way may be more polite than another.
Leaves ``training.json`` and ``training.md`` in OUT.
"""

import argparse
import dataclasses
import functools
import itertools
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import nn

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import DetectorSpec, normalise
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.pool.ledger import labels_by_video, labels_of_tubes
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.training.batches import ClipSource, prefetched
from hybridal_ray.training.colour import jitter_colours
from hybridal_ray.training.objective import batch_loss
from hybridal_ray.training.sampling import draw_epoch, worker_share
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.trainer import Workers, train_round

LABELLED_EVERY = 8  # frames
Epochs = list[dict[str, float]]
PLAIN, OWN = "plain PyTorch loop", "in this process"
KINDS = ("seconds", "cpu_seconds")


@dataclasses.dataclass(frozen=True)
class Work:
    """What every way of training is given."""

    spec: DetectorSpec
    videos: Sequence[Video]
    labels: pa.Table
    optimiser: OptimiserSettings
    sampling: SamplingSettings
    threads: int
    gpus: float


def main() -> None:
    """Runs every way in turn, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--videos", type=int, default=40, help="Of the training split, all decoded once beforehand.")
    parser.add_argument("--detector", default="compact")
    parser.add_argument(
        "--option", nargs="*", default=[], metavar="name=value", help="Options of the detector, in JSON."
    )
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50, help="Of an epoch.")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2], help="Of Ray Train; none leaves Ray out.")
    parser.add_argument("--threads", type=int, default=1, help="CPUs of each worker.")
    parser.add_argument("--gpus", type=float, default=0, help="Of each worker.")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    work = _work(arguments)
    ways: dict[str, Callable[[], Epochs]] = {
        PLAIN: functools.partial(_plain, work),
        OWN: functools.partial(_trained, work, 0),
        **{f"Ray Train, {count} workers": functools.partial(_trained, work, count) for count in arguments.workers},
    }
    if arguments.workers:
        _start_ray(max(arguments.workers) * arguments.threads)
    results: dict[str, list[Epochs]] = {way: [] for way in ways}
    for repeat in range(arguments.repeats):
        for way in _rotated(list(ways), repeat):
            results[way].append(ways[way]())
            print(way, [round(1000 * _seconds(epochs) / arguments.steps, 1) for epochs in results[way]], "ms a step")
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = _table(results, arguments.steps)
    settings = {name: str(value) for name, value in vars(arguments).items()}
    (arguments.out / "training.json").write_text(json.dumps({"settings": settings, "epochs": results}, indent=1))
    (arguments.out / "training.md").write_text(table)
    print(table)


def _work(arguments: argparse.Namespace) -> Work:
    pool = load_pool(arguments.pool)
    videos = pool.usable_videos("train")[: arguments.videos]
    tubes = pool.tubes_of([video.video_id for video in videos])
    labelled = pc.equal(pc.bit_wise_and(tubes["frame"], LABELLED_EVERY - 1), 0)
    options = {name: json.loads(value) for name, value in (option.split("=", 1) for option in arguments.option)}
    return Work(
        spec=DetectorSpec(arguments.detector, len(pool.classes), arguments.size, 8, 2, options),
        videos=videos,
        labels=labels_of_tubes(tubes.filter(labelled)),
        optimiser=OptimiserSettings(
            epochs=arguments.epochs, steps_per_epoch=arguments.steps, batch_size=arguments.batch, cache_mib=4096
        ),
        sampling=SamplingSettings(),
        threads=arguments.threads,
        gpus=arguments.gpus,
    )


def _rotated(ways: list[str], by: int) -> list[str]:
    return ways[by % len(ways) :] + ways[: by % len(ways)]


def _start_ray(cpus: int) -> None:
    import ray

    ray.init(
        address="local", num_cpus=cpus, include_dashboard=False, log_to_driver=False, _node_ip_address="127.0.0.1",
        _system_config={"worker_niceness": 0},
    )  # fmt: skip


def _plain(work: Work) -> Epochs:
    """What one would write without this package's loop: forward, loss, backward, clip, step."""
    by_video = labels_by_video(work.labels)
    device = torch.device("cuda" if work.gpus else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    detector = build_detector(work.spec).to(device).train()
    optimiser = torch.optim.AdamW(detector.parameters(), lr=work.optimiser.learning_rate, weight_decay=1e-4)
    cache = FrameCache(work.optimiser.cache_mib * 2**20, work.spec.input_size)
    videos = [video for video in work.videos if video.video_id in by_video]
    source = ClipSource(videos, [by_video[v.video_id] for v in videos], work.spec, LossSettings(), cache)
    epochs: Epochs = []
    for epoch in range(work.optimiser.epochs):
        draws = draw_epoch(
            source.labelled, [video.num_frames for video in videos], [source.classes(i) for i in range(len(videos))],
            clips=work.optimiser.steps_per_epoch * work.optimiser.batch_size, clip_frames=work.spec.clip_frames,
            clip_stride=work.spec.clip_stride, sampling=work.sampling, generator=np.random.default_rng([0, 0, epoch]),
        )  # fmt: skip
        started, cpu_started = time.perf_counter(), time.process_time()
        for batch in prefetched(source, worker_share(draws, work.optimiser.batch_size, 0, 1)):
            on_device = batch.to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                output = detector(jitter_colours(normalise(on_device.frames), work.sampling.colour))
            loss = batch_loss(
                output, on_device.instances, on_device.weights, on_device.actor_classes,
                settings=LossSettings(), progress=0.0,
            )["loss"]  # fmt: skip
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(detector.parameters(), 1.0)
            optimiser.step()
        loss.item()  # waits for the device
        epochs.append({"seconds": time.perf_counter() - started, "cpu_seconds": time.process_time() - cpu_started})
    return epochs


def _trained(work: Work, workers: int) -> Epochs:
    """The package's own loop, in this process or on Ray Train's workers."""
    with tempfile.TemporaryDirectory() as directory:
        train_round(
            spec=work.spec, videos=work.videos, labels=work.labels, out_dir=directory, loss=LossSettings(),
            clustering=ClusteringSettings(clusters=0), optimiser=work.optimiser, sampling=work.sampling,
            held_out=None, seed=0, round_index=0, initial_weights=None,
            workers=Workers(workers, work.threads, work.gpus, "cuda" if work.gpus else "cpu", max_failures=0),
        )  # fmt: skip
        history: Epochs = json.loads(Path(directory, "history.json").read_text())
    for before, after in itertools.pairwise(history):
        after["between"] = after["ended_at"] - before["ended_at"] - after["seconds"]
    return history


def _seconds(epochs: Epochs, kind: str = "seconds") -> float:
    """Of an epoch, the median without the first, which decodes and warms up."""
    return statistics.median(epoch[kind] for epoch in epochs[1:])


def _mean(results: Sequence[Epochs], name: str) -> float | None:
    values = [epoch[name] for epochs in results for epoch in epochs[1:] if name in epoch]
    return statistics.mean(values) if values else None


def _table(results: Mapping[str, Sequence[Epochs]], steps: int) -> str:
    """A row a way: medians over the repeats, each repeat compared with the plain loop of the same turn."""
    lines = [
        "| way | step, ms | CPU a step, ms | step against plain | CPU against plain | step against in this process "
        "| waiting for data | between epochs, s | peak memory, MiB |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for way, repeats in results.items():
        cells = [
            *(
                f"{1000 * statistics.median(_seconds(epochs, kind) for epochs in repeats) / steps:.1f}"
                for kind in KINDS
            ),
            *(_ratio(repeats, results[PLAIN], kind) for kind in KINDS),
            _ratio(repeats, results[OWN], "seconds"),
            _cell(_mean(repeats, "waiting_share"), "{:.1%}"),
            _cell(_mean(repeats, "between"), "{:.2f}"),
            _cell(_mean(repeats, "peak_memory_mib_0"), "{:.0f}"),
        ]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _ratio(mine: Sequence[Epochs], others: Sequence[Epochs], kind: str) -> str:
    """Median, least and largest of the ratios of the repeats."""
    ratios = sorted(_seconds(one, kind) / _seconds(other, kind) for one, other in zip(mine, others, strict=True))
    return f"× {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})"


def _cell(value: Any, form: str) -> str:
    return "" if value is None else form.format(value)


if __name__ == "__main__":
    main()
