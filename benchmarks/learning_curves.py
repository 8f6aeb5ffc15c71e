"""Learning curves: strategies and losses at equal budgets, beside full supervision, over several seeds.

``python benchmarks/learning_curves.py --config configs/demo.yaml --out OUT [--set key=value …]``

Every arm of every seed is an ordinary run of ``hybridal run`` in a process of its own, trained and scored there
(no Ray), so that many fit on one machine. Arms of one seed start from the same labels. Runs that are finished are
not run again. Leaves ``curves.json``, ``curves.md`` and ``curves.png`` in OUT.
"""

import argparse
import concurrent.futures
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

ARMS: Mapping[str, Sequence[str]] = {
    "full supervision": (
        "budget.start_videos=all", "budget.start_frames_per_video=all", "rounds=1", "selection.strategy=random",
    ),
    "CLAUS, STeW": ("selection.strategy=claus",),
    "CLAUS, gaussian": ("selection.strategy=claus", "training.loss.weighting=gaussian"),
    "CLAUS, labelled": ("selection.strategy=claus", "training.loss.weighting=labelled"),
    "CLAUS, none": ("selection.strategy=claus", "training.loss.weighting=none"),
    "CLAUS, STeW, empty frames first": ("selection.strategy=claus", "scoring.empty_frame_score=1.0"),
    "random, STeW": ("selection.strategy=random",),
    "random, gaussian": ("selection.strategy=random", "training.loss.weighting=gaussian"),
    "random, labelled": ("selection.strategy=random", "training.loss.weighting=labelled"),
    "random, none": ("selection.strategy=random", "training.loss.weighting=none"),
}  # fmt: skip
METRICS = ("frame_map@0.5", "video_map@0.5", "frame_ap_localisation@0.5", "tube_class_accuracy")
IN_PROCESS = ("training.workers=0", "scoring.actors=0", "tracking.uri=none", "tracking.figures=false")


def main() -> None:
    """Runs what is missing, then writes the table and the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", required=True)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="Runs at a time.")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS), metavar="ARM")
    parser.add_argument("--against", choices=list(ARMS), metavar="ARM", help="Adds each seed's difference from it.")
    parser.add_argument("--set", nargs="*", default=[], metavar="key=value", help="Overrides for every arm.")
    arguments = parser.parse_args()
    out = arguments.out.absolute()
    runs = [(arm, seed) for seed in range(arguments.seeds) for arm in arguments.arms]
    results: list[dict[str, Any]] = []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        pending = [pool.submit(_run, arguments.config, out, arm, seed, arguments.set) for arm, seed in runs]
        for done in concurrent.futures.as_completed(pending):
            curve = done.result()
            if curve is not None:
                results.append(curve)
                ordered = sorted(results, key=lambda curve: (curve["arm"], curve["seed"]))
                _write(out, arguments.arms, ordered, arguments.set, arguments.against)
    print((out / "curves.md").read_text())


def _write(
    out: Path, arms: Sequence[str], results: Sequence[Mapping[str, Any]], overrides: Sequence[str], against: str | None
) -> None:
    (out / "curves.json").write_text(json.dumps({"settings": list(overrides), "curves": results}, indent=1))
    paired = "" if against is None else "\n" + _differences(arms, results, against)
    (out / "curves.md").write_text(_table(arms, results) + paired)
    _draw(arms, results, out / "curves.png")


def _run(config: str, out: Path, arm: str, seed: int, overrides: Sequence[str]) -> dict[str, Any] | None:
    root = out / "runs" / f"{arm.replace(', ', '-').replace(' ', '_')}-{seed}"
    root.parent.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable, "-m", "hybridal_ray.cli", "run", "--json", "--config", config,
        f"root={out}", f"run={root}", f"seed={seed}", *IN_PROCESS, *overrides, *ARMS[arm],
    ]  # fmt: skip
    started = time.perf_counter()
    with (root.parent / f"{root.name}.log").open("w") as log:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=log, text=True, check=False)
    if done.returncode:
        print(f"{root.name} failed, see {log.name}", file=sys.stderr)
        return None
    rounds = json.loads(done.stdout)["rounds"]
    return {
        "arm": arm,
        "seed": seed,
        "seconds": time.perf_counter() - started,
        "frames": [row["labelled_frames"] for row in rounds],
        "percent": [row["percent_of_pool_frames"] for row in rounds],
        **{metric: [row["metrics"][metric] for row in rounds] for metric in METRICS},
    }


def _table(arms: Sequence[str], results: Sequence[Mapping[str, Any]]) -> str:
    """Mean and standard deviation over the seeds, a row an arm and round."""
    lines = ["| arm | round | frames | % of the pool | " + " | ".join(METRICS) + " | seeds |"]
    lines.append("| --- | " + "--- | " * (len(METRICS) + 4))
    for arm in arms:
        curves = [curve for curve in results if curve["arm"] == arm]
        for index in range(max((len(curve["frames"]) for curve in curves), default=0)):
            cells = []
            for metric in METRICS:
                values = [curve[metric][index] or 0.0 for curve in curves]
                cells.append(f"{np.mean(values):.3f} ± {np.std(values, ddof=1) if len(values) > 1 else 0.0:.3f}")
            frames = np.mean([curve["frames"][index] for curve in curves])
            percent = np.mean([curve["percent"][index] for curve in curves])
            lines.append(
                f"| {arm} | {index} | {frames:.0f} | {percent:.1f} | " + " | ".join(cells) + f" | {len(curves)} |"
            )
    return "\n".join(lines) + "\n"


def _differences(arms: Sequence[str], results: Sequence[Mapping[str, Any]], against: str) -> str:
    """Each seed's difference from an arm that had the same first labels and weights, mean and standard error."""
    lines = [f"| difference from {against} | round | " + " | ".join(METRICS) + " | seeds |"]
    lines.append("| --- | " + "--- | " * (len(METRICS) + 2))
    base = {curve["seed"]: curve for curve in results if curve["arm"] == against}
    for arm in arms:
        curves = [curve for curve in results if curve["arm"] == arm and curve["seed"] in base]
        if arm == against or not curves:
            continue
        for index in range(len(curves[0]["frames"])):
            cells = []
            for metric in METRICS:
                gains = [(c[metric][index] or 0.0) - (base[c["seed"]][metric][index] or 0.0) for c in curves]
                error = np.std(gains, ddof=1) / np.sqrt(len(gains)) if len(gains) > 1 else 0.0
                cells.append(f"{np.mean(gains):+.3f} ± {error:.3f}")
            lines.append(f"| {arm} | {index} | " + " | ".join(cells) + f" | {len(curves)} |")
    return "\n".join(lines) + "\n"


def _draw(arms: Sequence[str], results: Sequence[Mapping[str, Any]], location: Path) -> None:
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
    for axis, metric in zip(axes, METRICS[:2], strict=True):
        for colour, arm in enumerate(arms):
            curves = [curve for curve in results if curve["arm"] == arm]
            if not curves:
                continue
            values = np.array([curve[metric] for curve in curves], dtype=float)
            mean, spread = values.mean(axis=0), values.std(axis=0)
            if len(mean) == 1:
                axis.axhline(mean[0], color="black", linestyle="--", label=arm)
                axis.axhspan(mean[0] - spread[0], mean[0] + spread[0], color="black", alpha=0.08)
                continue
            frames = np.mean([curve["percent"] for curve in curves], axis=0)
            axis.plot(frames, mean, marker="o", color=f"C{colour}", label=arm)
            axis.fill_between(frames, mean - spread, mean + spread, color=f"C{colour}", alpha=0.15)
        axis.set(xlabel="labelled frames, % of the pool", ylabel=metric, ylim=(0, 1))
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    figure.savefig(location, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    main()
