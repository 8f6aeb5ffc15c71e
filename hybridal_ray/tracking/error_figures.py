"""Why the figures are what they are, drawn: kinds of errors, confusion of classes, calibration, parts of the actors."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hybridal_ray.tracking.style import BLUE, FAINT, GREEN, INK, ORANGE

Analysis = Mapping[str, Any]
MOST_NUMBERS = 12  # classes up to which the cells of the confusion matrix are written out


def error_gains_figure(analysis: Analysis) -> Figure:
    """How much video-mAP@0.5 each kind of error costs, with its number of tubes."""
    errors = analysis["errors"]
    kinds = sorted(errors["kinds"], key=lambda kind: errors["kinds"][kind]["gain"])  # the costliest on top
    gains = [errors["kinds"][kind]["gain"] for kind in kinds]
    figure = Figure(figsize=(7.2, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.barh([kind.replace("_", " ") for kind in kinds], gains, color=BLUE, height=0.62)
    widest = max(0.05, *gains)
    for place, (kind, gain) in enumerate(zip(kinds, gains, strict=True)):
        told = f"{gain:+.3f}  ({errors['kinds'][kind]['count']:,})"
        axes.annotate(told, (max(gain, 0.0), place), (5, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_xlim(min(0.0, *gains), 1.3 * widest)
    axes.grid(axis="y", visible=False)
    axes.set(
        title=f"What each kind of error costs: video-mAP@0.5 is {errors['video_map@0.5']:.3f}",
        xlabel="gain in video-mAP@0.5 if it were mended (number of tubes)",
    )
    return figure


def confusion_figure(analysis: Analysis) -> Figure | None:
    """The confusion matrix, each row as shares of the actors of its class; None without classes."""
    confusion = analysis["confusion"]
    counts = np.array(confusion["matrix"], dtype=np.float64)
    if len(counts) < 2:
        return None
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros_like(counts), where=totals > 0)
    names = [name.replace("_", " ") for name in confusion["classes"]]
    size = min(12.0, 3.0 + 0.36 * len(counts))
    figure = Figure(figsize=(size + 0.8, size), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= MOST_NUMBERS:
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                colour = "white" if shares[row, column] > 0.55 else INK
                axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(counts)), [*names, "missed"], rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(counts)), [*names, "no actor"])
    axes.grid(visible=False)
    axes.set(title="What actors are taken for", xlabel="predicted", ylabel="true")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the row")
    return figure


def reliability_figure(analysis: Analysis) -> Figure | None:
    """Accuracy against confidence, of class scores and box scores; None where neither is a probability."""
    calibration = {name: found for name, found in analysis["calibration"].items() if found is not None}
    if not calibration:
        return None
    figure = Figure(figsize=(4.2 * len(calibration) + 0.4, 4.4), layout="constrained")
    for axes, (name, found) in zip(np.ravel(figure.subplots(1, len(calibration))), calibration.items(), strict=True):
        _reliability(axes, name.replace("_", " "), found)
    return figure


def breakdowns_figure(analysis: Analysis) -> Figure:
    """Video-mAP@0.5 of the parts of the actors, a panel a measure."""
    breakdowns = {measure: parts for measure, parts in analysis["breakdowns"].items() if parts}
    figure = Figure(figsize=(2.9 * len(breakdowns) + 0.4, 3.6), layout="constrained")
    panels = np.ravel(figure.subplots(1, len(breakdowns), sharey=True))
    top = max(0.1, *(part["video_map@0.5"] for parts in breakdowns.values() for part in parts))
    for axes, (measure, parts), colour in zip(panels, breakdowns.items(), (BLUE, ORANGE, GREEN, FAINT), strict=False):
        values = [part["video_map@0.5"] for part in parts]
        axes.bar([f"{part['name']}\n{part['truth_tubes']:,}" for part in parts], values, color=colour, width=0.62)
        for place, value in enumerate(values):
            axes.annotate(f"{value:.2f}", (place, value), (0, 3), textcoords="offset points", ha="center", fontsize=9)
        axes.grid(axis="x", visible=False)
        axes.set(title=f"by {measure}", ylim=(0, 1.15 * top))
    panels[0].set_ylabel("video-mAP@0.5")
    figure.supxlabel("part of the actors, number of true tubes", fontsize=9.5, color=INK)
    return figure


def _reliability(axes: Axes, name: str, found: Mapping[str, Any]) -> None:
    said = [each["confidence"] for each in found["bins"]]
    true = [each["accuracy"] for each in found["bins"]]
    counts = np.array([each["count"] for each in found["bins"]], dtype=np.float64)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.plot(said, true, color=BLUE, linewidth=1.5)
    sizes = 20 + 120 * counts / counts.max()
    axes.scatter(said, true, s=sizes, color=BLUE, edgecolor="white", zorder=3, clip_on=False)
    axes.set(
        title=f"{name}: ECE {found['expected_calibration_error']:.3f}",
        xlabel="mean score of the bin",
        ylabel="share that is right",
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )


FIGURES: Mapping[str, Callable[[Analysis], Figure | None]] = {
    "errors.png": error_gains_figure,
    "confusion.png": confusion_figure,
    "calibration.png": reliability_figure,
    "breakdowns.png": breakdowns_figure,
}
