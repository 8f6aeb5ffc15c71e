"""Oracle: which stages are done says which figures there must be."""

import logging
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.round_report import render_round

AFTER_TRAINING = ["training_loss.png"]
AFTER_EVALUATION = ["detections.png", "learning_curve.png", "training_loss.png"]
ALL = ["contact_sheet.png", "detections.png", "latent_map.png", "learning_curve.png", "training_loss.png"]


def names(files: list[str]) -> list[str]:
    return [Path(file).name for file in files]


def undo(run: Path, *stages: str) -> None:
    for stage in stages:
        (run / f"rounds/001/{stage}.done.json").unlink()


def test_figures_come_as_stages_finish_and_old_ones_stay(run: Path, squares: Pool) -> None:
    markers = {stage: (run / f"rounds/001/{stage}.done.json").read_bytes() for stage in ("evaluate", "score", "select")}
    undo(run, *markers)
    assert names(render_round(str(run), 1, squares)) == AFTER_TRAINING
    (run / "rounds/001/evaluate.done.json").write_bytes(markers["evaluate"])
    files = render_round(str(run), 1, squares)
    assert names(files) == AFTER_EVALUATION
    untouched = {file: Path(file).stat().st_mtime_ns for file in files}
    for stage in ("score", "select"):
        (run / f"rounds/001/{stage}.done.json").write_bytes(markers[stage])
    files = render_round(str(run), 1, squares)
    assert names(files) == ALL
    assert {file: Path(file).stat().st_mtime_ns for file in untouched} == untouched
    for file in files:
        Image.open(file).verify()


def test_a_round_without_clusters_latents_and_picks(run: Path, squares: Pool) -> None:
    (run / "rounds/001/clusters.parquet").unlink()
    selection = run / "rounds/001/selection.parquet"
    pq.write_table(pq.read_table(selection).slice(0, 0), selection)
    (run / "rounds/001/scores/part-00000.parquet").unlink()
    assert names(render_round(str(run), 1, squares)) == AFTER_EVALUATION


def test_detections_are_shown_on_the_split_that_was_evaluated(run: Path, squares: Pool) -> None:
    """The pool has no video of split val, so there is none to show; before, test videos without a box stood there."""
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("split: test", "split: val"))
    assert "detections.png" not in names(render_round(str(run), 1, squares))


def test_a_figure_that_fails_is_left_out_with_a_warning(
    run: Path, squares: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    (run / "rounds/001/train/checkpoint/weights.pt").write_bytes(b"torn")
    with caplog.at_level(logging.WARNING):
        assert "latent_map.png" not in names(render_round(str(run), 1, squares))
    assert "latent_map.png: not drawn" in caplog.text
