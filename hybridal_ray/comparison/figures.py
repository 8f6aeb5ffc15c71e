"""The figures of an answer: curves with bands against frames and against labour, and the differences in area."""

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridal_ray.comparison.answer import Answer, MeanPoint
from hybridal_ray.tracking.style import FAINT, INK, cluster_colour, to_png

_WIDTH = 7.2  # inches, as the figures of a round


def figures_of(answer: Answer) -> dict[str, bytes]:
    """All figures as PNG, by file name; one for which there is nothing to show is left out."""
    found: dict[str, bytes | None] = {}
    for metric in answer.metrics:
        stem = metric.replace("/", "_").replace("@", "_at_").replace(":", "_to_")
        for name, draw in _KINDS.items():
            found[f"{stem}-{name}.png"] = to_png(functools.partial(draw, answer, metric))
    return {name: png for name, png in found.items() if png is not None}


def _against_frames(answer: Answer, metric: str) -> Figure | None:
    return _curves(answer, metric, lambda point: point.percent, "labelled frames, % of the pool's frames")


def _against_labour(answer: Answer, metric: str) -> Figure | None:
    return _curves(
        answer,
        metric,
        lambda point: None if point.seconds is None else point.seconds / 3600,
        "modelled labour in hours",
    )


def _curves(answer: Answer, metric: str, budget: Callable[[MeanPoint], float | None], label: str) -> Figure | None:
    found = answer.metrics[metric]
    figure = Figure(figsize=(_WIDTH, 4.6), layout="constrained")
    axes = figure.add_subplot()
    drawn = 0
    for index, (name, arm) in enumerate(found.arms.items()):
        points = [(at, point) for point in arm.points if (at := budget(point)) is not None]
        if not points:
            continue
        _draw_arm(axes, points, name, cluster_colour(index), "-" if index < 10 else "--")
        drawn += 1
    if not drawn:
        return None
    if found.full is not None:
        axes.axhline(found.full.mean, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="full supervision")
        if found.full.deviation is not None:
            low, high = found.full.mean - found.full.deviation, found.full.mean + found.full.deviation
            axes.axhspan(low, high, color=INK, alpha=0.06, linewidth=0)
    on_split = "" if answer.split is None else f" on the {answer.split} split"
    axes.set(title=f"{metric}{on_split}, mean ± standard deviation over seeds", xlabel=label, ylabel=metric)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _draw_arm(axes: Axes, points: Sequence[tuple[float, MeanPoint]], name: str, colour: str, dashes: str) -> None:
    """Draws a mean curve; where runs of the arm are missing, dotted with hollow marks, as it may not be of the rest."""
    budgets = np.array([at for at, _ in points])
    means = np.array([point.value.mean for _, point in points])
    spread = np.array([np.nan if (sd := point.value.deviation) is None else sd for _, point in points])
    fewer = np.array([point.missing > 0 for _, point in points])
    axes.plot(budgets, means, ":", color=colour, linewidth=1.2)
    whole = np.where(fewer, np.nan, means)
    axes.plot(budgets, whole, dashes, color=colour, marker="o", markersize=4, markeredgecolor="white", label=name)
    axes.plot(budgets[fewer], means[fewer], "o", color=colour, markersize=4, markerfacecolor="white")
    axes.fill_between(budgets, means - spread, means + spread, color=colour, alpha=0.12, linewidth=0)
    if len(points) == 1:  # which has no band
        axes.errorbar(budgets, means, spread, color=colour, linewidth=1.2, capsize=3)


def _area_differences(answer: Answer, metric: str) -> Figure | None:
    differences = [(name, arm.area_difference) for name, arm in answer.metrics[metric].arms.items()]
    arms = [(name, found.gain) for name, found in differences if found is not None]
    if not arms:
        return None
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.34 * len(arms)), layout="constrained")
    axes = figure.add_subplot()
    for row, (_, found) in enumerate(arms):
        if found.low is not None and found.high is not None:
            axes.plot([found.low, found.high], [row, row], color=INK if found.excludes_zero else FAINT)
        axes.plot([found.mean], [row], marker="o", color=INK if found.excludes_zero else FAINT)
    axes.axvline(0.0, color=FAINT, linewidth=1.0)
    axes.set_yticks(range(len(arms)), [name for name, _ in arms])
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(
        title=f"{metric}: area under the curve, difference from {answer.question.reference}",
        xlabel="paired by seed, with the 95 % interval of the mean",
    )
    return figure


_KINDS: Mapping[str, Callable[[Answer, str], Figure | None]] = {
    "frames": _against_frames,
    "labour": _against_labour,
    "areas": _area_differences,
}
