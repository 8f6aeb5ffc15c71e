"""Oracle: the numbers of the analysis that was drawn."""

import pytest
from matplotlib.colors import to_hex
from PIL import Image

from hybridal_ray.pool import storage
from hybridal_ray.tracking.error_figures import (
    FIGURES,
    breakdowns_figure,
    confusion_figure,
    error_gains_figure,
    reliability_figure,
)
from hybridal_ray.tracking.round_facts import round_files, round_points
from hybridal_ray.tracking.round_report import render_round
from hybridal_ray.tracking.run_reader import read_rounds
from hybridal_ray.tracking.style import BLUE

BINS = [{"confidence": 0.2, "accuracy": 0.1, "count": 3}, {"confidence": 0.9, "accuracy": 0.6, "count": 6}]
ANALYSIS = {
    "errors": {
        "video_map@0.5": 0.4,
        "kinds": {"class": {"count": 7, "gain": 0.2}, "duplicate": {"count": 2, "gain": -0.01}},
    },
    "confusion": {"classes": ["jump", "run"], "matrix": [[3, 1, 0], [0, 0, 2], [5, 0, 0]]},
    "calibration": {"class_scores": {"expected_calibration_error": 0.23, "bins": BINS}, "box_scores": None},
    "breakdowns": {
        "size": [
            {"name": "small", "truth_tubes": 4, "video_map@0.5": 0.1, "from": None, "to": 20.0},
            {"name": "large", "truth_tubes": 4, "video_map@0.5": 0.7, "from": 20.0, "to": None},
        ],
        "motion": [],
    },
}


def test_gains_are_bars_with_their_counts_the_first_on_top():
    (axes,) = error_gains_figure(ANALYSIS).axes
    assert [bar.get_width() for bar in axes.patches] == [-0.01, 0.2]
    assert [text.get_text() for text in axes.texts] == ["-0.010  (2)", "+0.200  (7)"]
    low, high = axes.get_xlim()
    assert low <= -0.01
    assert high > 0.2


def test_confusion_shows_shares_of_the_rows_and_numbers():
    axes = confusion_figure(ANALYSIS).axes[0]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25, 0], [0, 0, 1], [1, 0, 0]]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"), ((1, 0), "1"), ((2, 1), "2"), ((0, 2), "5")
    }  # fmt: skip


def test_reliability_joins_the_bins_and_scores_that_are_no_probability_are_left_out():
    (axes,) = reliability_figure(ANALYSIS).axes
    line = next(line for line in axes.get_lines() if to_hex(line.get_color()).upper() == BLUE.upper())
    assert line.get_xydata().tolist() == [[0.2, 0.1], [0.9, 0.6]]
    assert "0.230" in axes.get_title(loc="left") + axes.get_title()
    assert reliability_figure({"calibration": {"class_scores": None, "box_scores": None}}) is None


def test_parts_are_bars_and_measures_without_parts_have_no_panel():
    (axes,) = breakdowns_figure(ANALYSIS).axes
    assert [bar.get_height() for bar in axes.patches] == [0.1, 0.7]


def test_a_round_draws_keeps_and_counts_its_analysis(run, squares):
    location = str(run / "rounds/001/evaluate/analysis.json")
    assert not set(FIGURES) & {file.rpartition("/")[2] for file in render_round(str(run), 1, squares)}
    storage.write_json(location, ANALYSIS)
    drawn = {file.rpartition("/")[2]: file for file in render_round(str(run), 1, squares)}
    for name in FIGURES:
        Image.open(drawn[name]).verify()
    record = read_rounds(str(run), squares)[1]
    points = {point.name: (point.value, point.step) for point in round_points(str(run), record)}
    assert points["errors/class_gain"] == (pytest.approx(0.2), record.labelled_frames)
    assert points["calibration/class_scores_ece"][0] == pytest.approx(0.23)
    assert points["breakdowns/size_large"][0] == pytest.approx(0.7)
    files = round_files(str(run), record)
    assert files["errors.csv"].decode().splitlines() == [
        '"kind","count","gain"',
        '"class",7,0.2',
        '"duplicate",2,-0.01',
    ]
    assert {"analysis.json", *(f"report/{name}" for name in FIGURES)} <= set(files)
