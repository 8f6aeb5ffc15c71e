"""Curves: accuracy against the labels bought, and the losses of one round's training."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, StrMethodFormatter

from hybridal_ray.tracking.rounds_table import FRAME_MAP, VIDEO_MAP
from hybridal_ray.tracking.run_reader import RoundRecord
from hybridal_ray.tracking.style import BLUE, FAINT, GREEN, INK, ORANGE

_CURVES = {FRAME_MAP: ("frame-mAP@0.5", BLUE), VIDEO_MAP: ("video-mAP@0.5", ORANGE)}
_LOSSES = {
    "validation_loss": ("validation", FAINT),
    "mask_loss": ("mask", BLUE),
    "class_loss": ("class", ORANGE),
    "clustering_loss": ("clustering", GREEN),
}


def learning_curve(
    records: Sequence[RoundRecord], split: str, full_supervision: Mapping[str, float] | None = None
) -> Figure:
    """Frame-mAP@0.5 and video-mAP@0.5 against the labelled frames.

    Args:
        records: Rounds, at least one of them evaluated.
        split: That they are evaluated on.
        full_supervision: The same metrics (keys as in metrics.json, values in [0, 1]) of a detector trained on every
            label, drawn as horizontal lines; None where they are not known.
    """
    evaluated = [record for record in records if record.metrics]
    frames = [record.labelled_frames for record in evaluated]
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.add_subplot()
    top = 0.0
    for metric, (label, colour) in _CURVES.items():
        values = [float(record.metrics[metric]) for record in evaluated]
        axes.plot(frames, values, color=colour, marker="o", markersize=6, markeredgecolor="white", label=label)
        above = metric == max(_CURVES, key=lambda name: float(evaluated[-1].metrics[name]))
        _mark_last(axes, frames[-1], values[-1], colour, above=above)
        top = max(top, *values)
        if full_supervision is not None and metric in full_supervision:
            ceiling = float(full_supervision[metric])
            axes.axhline(
                ceiling, color=colour, linewidth=1.2, linestyle=(0, (4, 3)), label=f"{label}, all frames labelled"
            )
            top = max(top, ceiling)
    axes.set(title=f"Accuracy on the {split} split", xlabel="labelled frames", ylabel="mean average precision")
    axes.set_ylim(0.0, min(1.02, max(0.1, 1.15 * top)))
    axes.set_xlim(0, max(1.0, 1.12 * frames[-1]))
    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.legend(loc="lower right")
    _add_percent_axis(axes, evaluated)
    return figure


def loss_history(history: Sequence[Mapping[str, Any]], round_index: int) -> Figure:
    """The loss of each epoch of a round and its parts; the learning rate beneath.

    Args:
        history: One dict an epoch with epoch, loss, learning_rate and, where the detector has them, mask_loss,
            class_loss, clustering_loss, and validation_loss where an epoch is chosen by it.
        round_index: Of the round, for the title.
    """
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    losses, rates = figure.subplots(2, 1, sharex=True, height_ratios=[3.4, 1])
    losses.plot(epochs, [row["loss"] for row in history], color=INK, linewidth=2.4, label="total")
    for name, (label, colour) in _LOSSES.items():
        values = [row.get(name) for row in history]
        if any(value for value in values):
            losses.plot(epochs, values, color=colour, linewidth=1.5, label=label)
    # The clustering term stands without its weight β: on a linear axis it would press all others to the ground.
    losses.set(title=f"Training of round {round_index}", ylabel="loss", yscale="log")
    losses.legend(loc="upper right", ncols=5)
    rates.plot(epochs, [row["learning_rate"] for row in history], color=FAINT, linewidth=1.5)
    rates.set(xlabel="epoch", ylabel="learning rate", ylim=(0, None))
    rates.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.align_ylabels([losses, rates])
    return figure


def _mark_last(axes: Axes, x: float, y: float, colour: str, *, above: bool) -> None:
    side, anchor = (2, "bottom") if above else (-2, "top")
    axes.annotate(f"{y:.3f}", (x, y), (8, side), textcoords="offset points", va=anchor, color=colour, fontweight="bold")


def _add_percent_axis(axes: Axes, evaluated: Sequence[RoundRecord]) -> None:
    """A second scale above: the labelled frames as percentage of all frames of the training videos."""
    last = evaluated[-1]
    if last.labelled_frames == 0:
        return
    percent_a_frame = last.percent_of_pool_frames / last.labelled_frames
    upper = axes.secondary_xaxis(
        "top",
        functions=(
            lambda frames: np.asarray(frames) * percent_a_frame,
            lambda percent: np.asarray(percent) / percent_a_frame,
        ),
    )
    upper.set_xlabel("% of the pool's frames", color=FAINT, fontsize=9)
    upper.tick_params(labelsize=8.5, colors=FAINT, labelcolor=FAINT)
    upper.spines["top"].set_visible(False)
