"""The figures and their explanation as tables for a terminal."""

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hybridal_ray.evaluation.conventions import CAPSNET, CONVENTIONS

FIGURES = (
    "frame_map@0.5", "frame_map@0.5:0.95", "video_map@0.2", "video_map@0.5", "video_map@0.75", "video_map@0.5:0.95"
)  # fmt: skip


def videos_line(evaluated: int, split: str, left_out: int) -> str:
    """Of how many videos the figures are, and how many of the split had no part in them, not even as missed."""
    told = f"evaluated {evaluated} videos"
    return told if not left_out else f"{told}; {left_out} of the split {split} are missing or unreadable and left out"


def conventions_table(metrics: Mapping[str, Any]) -> Table:
    """One row a convention, with the 95 % intervals where there are some."""
    table = _table("convention", *FIGURES)
    for name in (*(convention.name for convention in CONVENTIONS), CAPSNET):
        cells = []
        if f"{name}/{FIGURES[0]}" not in metrics:
            continue
        for figure in FIGURES:
            key = f"{name}/{figure}"
            interval = metrics["intervals"].get(key)
            bounds = "" if interval is None else f"\n{interval[0]:.3f}–{interval[1]:.3f}"
            cells.append("–" if metrics.get(key) is None else f"{metrics[key]:.4f}{bounds}")
        table.add_row(name, *cells)
    return table


def classes_table(metrics: Mapping[str, Any]) -> Table:
    """One row a class that has ground truth, under ``strict``, or the one convention there is."""
    names = [name.replace("_map", "_ap") for name in FIGURES]
    table = _table("class", "true boxes", *names)
    for class_name, of_class in metrics["per_class"].items():
        if of_class["truth_boxes"]:
            cells = ("–" if of_class.get(name) is None else f"{of_class[name]:.4f}" for name in names)
            table.add_row(class_name, str(of_class["truth_boxes"]), *cells)
    return table


def errors_table(analysis: Mapping[str, Any]) -> Table:
    """One row a kind of error: how often it occurs, and what video-mAP would gain were it mended."""
    table = _table("error", "tubes", "gain in video-mAP@0.5")
    for kind, found in analysis["errors"]["kinds"].items():
        table.add_row(kind.replace("_", " "), str(found["count"]), f"{found['gain']:+.4f}")
    return table


def breakdowns_table(analysis: Mapping[str, Any]) -> Table:
    """One row a part of the actors."""
    table = _table("by", "part", "true tubes", "video-mAP@0.5")
    for measure, parts in analysis["breakdowns"].items():
        for part in parts:
            table.add_row(measure, part["name"], str(part["truth_tubes"]), f"{part['video_map@0.5']:.4f}")
    return table


def _table(*headings: str) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="left" if number == 0 else "right")
    return table
