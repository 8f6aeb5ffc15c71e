"""What each detector costs: parameters, arithmetic, time and memory of a training step, and the share of the peak.

``python benchmarks/detectors.py --out OUT [--size 224] [--batch 8] [--variants float32 bfloat16 …]``

Clips are random and lie on the device beforehand, so that nothing but the step is measured. The peak is that of a
large matrix product in bfloat16 (float32 on a CPU), measured in the same run. Leaves ``detectors.json`` and
``detectors.md`` in OUT.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.training.batches import TrainingBatch
from hybridal_ray.training.learner import Learner
from hybridal_ray.training.memory import peak_memory_mib
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.task import LabelledVideos, State, TrainingTask

CLASSES, FRAMES = 24, 8
VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {"precision": "float32"},
    "bfloat16": {"precision": "bfloat16"},
    "bfloat16+channels_last": {"precision": "bfloat16", "channels_last": True},
    "bfloat16+compile": {"precision": "bfloat16", "compile": True},
    "bfloat16+channels_last+compile": {"precision": "bfloat16", "channels_last": True, "compile": True},
}


class HereSession:
    """One worker on the device, nothing kept."""

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def wrap(self, detector: nn.Module) -> nn.Module:
        """The detector on the device."""
        return detector.to(self.device)

    def resume(self) -> State | None:
        """Nothing."""
        return None

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        """Keeps nothing."""


def main() -> None:
    """Measures every detector in every variant, then writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--detectors", nargs="+", default=["capsules", "i3d_pyramid", "compact"])
    parser.add_argument("--variants", nargs="+", default=["float32", "bfloat16"], choices=list(VARIANTS))
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    peak = measured_peak(device)
    rows = []
    for detector in arguments.detectors:
        spec = DetectorSpec(detector, CLASSES, arguments.size, FRAMES, 2)
        facts = cost(spec)
        for variant in arguments.variants:
            rows.append(
                {"detector": detector, "variant": variant, **facts, **_measure(spec, variant, arguments, device)}
            )
            # The backward pass takes twice the arithmetic of the forward pass.
            rows[-1]["share_of_peak"] = 3 * facts["flops"] * rows[-1]["clips_per_second"] / peak
            print(rows[-1], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = _table(rows, name, peak, arguments)
    report = {"device": name, "peak_flops": peak, "rows": rows}
    (arguments.out / "detectors.json").write_text(json.dumps(report, indent=1))
    (arguments.out / "detectors.md").write_text(table)
    print(table)


def measured_peak(device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product, the median of ten."""
    side, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (2048, torch.float32)
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    seconds = []
    for _ in range(13):
        _wait(device)
        started = time.perf_counter()
        left @ right
        _wait(device)
        seconds.append(time.perf_counter() - started)
    return 2 * side**3 / statistics.median(seconds[3:])


def cost(spec: DetectorSpec) -> dict[str, int]:
    """Parameters, and operations of a forward pass over one clip, counted without computing."""
    with torch.device("meta"):
        detector = build_detector(spec).eval()
        clip = torch.empty(1, 3, spec.clip_frames, spec.input_size, spec.input_size)
        with FlopCounterMode(display=False) as counter:
            detector(clip)
    return {"parameters": sum(p.numel() for p in detector.parameters()), "flops": counter.get_total_flops()}


def _measure(spec: DetectorSpec, variant: str, arguments: argparse.Namespace, device: torch.device) -> dict[str, float]:
    torch.manual_seed(0)
    task = TrainingTask(
        spec=spec, labelled=LabelledVideos([], []), loss=LossSettings(), clustering=ClusteringSettings(clusters=0),
        optimiser=OptimiserSettings(**VARIANTS[variant]), sampling=SamplingSettings(), seed=0, round_index=0,
    )  # fmt: skip
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    learner = Learner(task, HereSession(device))
    learner.train_mode()
    shape = (arguments.batch, FRAMES, arguments.size, arguments.size)
    batch = TrainingBatch(
        frames=torch.randint(0, 256, (*shape, 3), dtype=torch.uint8),
        instances=torch.randint(0, 2, shape, dtype=torch.uint8),
        weights=torch.rand(shape),
        actor_classes=torch.randint(0, CLASSES, (arguments.batch, 1)),
    ).to(device)
    seconds = []
    for _ in range(3 + arguments.steps):
        _wait(device)
        started = time.perf_counter()
        learner.step([batch], rate=1e-4, progress=0.5)
        _wait(device)
        seconds.append(time.perf_counter() - started)
    step = statistics.median(seconds[3:])
    return {
        "step_ms": 1000 * step,
        "clips_per_second": arguments.batch / step,
        "images_per_second": FRAMES * arguments.batch / step,
        "peak_memory_mib": peak_memory_mib(device),
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _table(rows: list[dict[str, Any]], device: str, peak: float, arguments: argparse.Namespace) -> str:
    lines = [
        f"{device}, batch {arguments.batch}, {FRAMES} × {arguments.size} × {arguments.size}, {CLASSES} classes; "
        f"measured peak {peak / 1e12:.1f} TFLOP/s",
        "",
        "| detector | variant | parameters | GFLOP a clip | step, ms | clips/s | images/s | memory, MiB | of peak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['detector']} | {row['variant']} | {row['parameters'] / 1e6:.1f} M | {row['flops'] / 1e9:.1f} | "
        f"{row['step_ms']:.1f} | {row['clips_per_second']:.1f} | {row['images_per_second']:.0f} | "
        f"{row['peak_memory_mib']:.0f} | {row['share_of_peak']:.1%} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
