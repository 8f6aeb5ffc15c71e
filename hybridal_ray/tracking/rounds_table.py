"""The rounds of a run as a table: for the terminal, and as plain rows for ``--json``."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hybridal_ray.tracking.run_reader import STAGES, RoundRecord

FRAME_MAP = "frame_map@0.5"
VIDEO_MAP = "video_map@0.5"


def round_rows(records: Sequence[RoundRecord]) -> list[dict[str, Any]]:
    """The rounds as JSON-ready rows; what is not known yet is None.

    Returns:
        One dict a round: round, labelled_videos, labelled_frames, percent_of_pool_frames (0 to 100), boxes,
        labour_seconds, metrics (as evaluated, without the per-class part) and seconds by stage.
    """
    return [
        {
            "round": record.index,
            "labelled_videos": record.labelled_videos,
            "labelled_frames": record.labelled_frames,
            "percent_of_pool_frames": record.percent_of_pool_frames,
            "boxes": record.boxes,
            "labour_seconds": record.labour_seconds,
            "metrics": {name: value for name, value in record.metrics.items() if name != "per_class"},
            "stage_seconds": dict(record.stage_seconds),
        }
        for record in records
    ]


def rounds_table(records: Sequence[RoundRecord]) -> Table:
    """The rounds for a terminal of 80 characters: what was labelled, how good the detector is, where the time went."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=0, show_edge=False)
    headings = ("round", "videos", "frames", "% of\npool", "frame\nmAP\n@0.5", "video\nmAP\n@0.5")
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for stage in STAGES:
        table.add_column(f"{stage}\n(s)", justify="right", no_wrap=True)
    for record in records:
        table.add_row(
            str(record.index),
            f"{record.labelled_videos:,}",
            f"{record.labelled_frames:,}",
            f"{record.percent_of_pool_frames:.2f}",
            _fixed(record.metrics.get(FRAME_MAP), 3),
            _fixed(record.metrics.get(VIDEO_MAP), 3),
            *(_fixed(record.stage_seconds.get(stage), 1) for stage in STAGES),
        )
    return table


def _fixed(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
