"""Oracle: the rows written out by hand, and their presence in the rendered text."""

import io
import json
from pathlib import Path

from rich.console import Console

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.rounds_table import round_rows, rounds_table
from hybridal_ray.tracking.run_reader import read_rounds


def test_rows_are_json_and_hold_no_class_table(finished_run: Path, squares: Pool) -> None:
    row = json.loads(json.dumps(round_rows(read_rounds(str(finished_run), squares))))[1]
    assert (row["round"], row["labelled_videos"], row["labelled_frames"]) == (1, 4, 8)
    assert row["stage_seconds"] == {"train": 12.5, "evaluate": 3.5, "score": 5.5, "select": 0.5}
    assert "per_class" not in row["metrics"]


def test_the_terminal_shows_every_column_on_80_characters(finished_run: Path, squares: Pool) -> None:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(rounds_table(read_rounds(str(finished_run), squares)))
    text = console.export_text()
    # frame-mAP of round 1 is 0.8 × (1 − 0.36), video-mAP 0.7 × (1 − 0.36); round 1 labels nothing, hence a dash.
    lines = text.splitlines()
    assert max(len(line) for line in lines) <= 80
    assert lines[-1].split() == ["1", "4", "8", "8.33", "0.512", "0.448", "12.5", "3.5", "5.5", "0.5", "–"]
