"""Draws how the figure of a strategy falls with the errors of its annotator, from a comparison of `compare_noise.yaml`.

``python benchmarks/noise.py COMPARISON --out noise.png [--metric frame_map@0.5]``

The abscissa is the N of the arms ``claus-noise-N``, 0 for ``claus``; the ordinate the figure of the last round, a dot a
seed and a line through the means. The band is ``random`` with flawless labels, mean ± standard deviation over seeds.
"""

import argparse
import functools
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from hybridal_ray.comparison.statistics import estimate
from hybridal_ray.tracking.style import BLUE, INK, to_png

STRATEGY, NOISY, REFERENCE = "claus", "claus-noise-", "random"


def main() -> None:
    """Reads the comparison and writes the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", type=Path)
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--metric", default="frame_map@0.5")
    arguments = parser.parse_args()
    curves = json.loads((arguments.comparison / "comparison.json").read_text())["curves"]
    last = last_figures([curve for curve in curves if curve["finished"]], arguments.metric)
    png = to_png(functools.partial(_draw, last, arguments.metric))
    if png is None:
        raise SystemExit(f"{arguments.comparison}: no finished runs of {STRATEGY} and {REFERENCE} to draw")
    arguments.out.write_bytes(png)


def last_figures(curves: Sequence[Mapping[str, Any]], metric: str) -> dict[str, list[float]]:
    """The figure of the last round of each run, by arm."""
    found: dict[str, list[float]] = defaultdict(list)
    for curve in curves:
        found[curve["arm"]].append(curve["values"][metric][-1])
    return found


def _draw(last: Mapping[str, Sequence[float]], metric: str) -> Figure | None:
    levels = {
        0.0 if arm == STRATEGY else float(arm.removeprefix(NOISY)): values
        for arm, values in last.items()
        if arm == STRATEGY or arm.startswith(NOISY)
    }
    if not levels or REFERENCE not in last:
        return None
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    flawless = estimate(last[REFERENCE])
    spread, dashes = flawless.deviation or 0.0, (0, (4, 3))
    axes.axhspan(flawless.mean - spread, flawless.mean + spread, color=INK, alpha=0.08, linewidth=0)
    axes.axhline(flawless.mean, color=INK, linestyle=dashes, linewidth=1.2, label=f"{REFERENCE}, flawless labels")
    ordered = sorted(levels)
    for level in ordered:
        axes.plot([level] * len(levels[level]), levels[level], "o", color=BLUE, markersize=4, alpha=0.5)
    axes.plot(ordered, [np.mean(levels[level]) for level in ordered], color=BLUE, label=STRATEGY)
    axes.set_xlabel("boxes misplaced by, actors missed, actors given a wrong class: % each")
    axes.set_ylabel(metric)
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
