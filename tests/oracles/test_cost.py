"""Oracles: sums written out by hand."""

import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.oracles.cost import CostModel, LabourSummary, labour, spent_seconds
from hybridal_ray.pool.ledger import LABELS_SCHEMA

BOX = {"tube_id": "t", "class_id": 0, "x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0, "mask": None}


def row(video_id: str, frame: int, boxes: int, seconds: float | None, round_index: int = 0) -> dict:
    return {
        "video_id": video_id,
        "frame": frame,
        "round": round_index,
        "source": "made up",
        "seconds": seconds,
        "boxes": [BOX] * boxes,
    }


def test_a_frame_costs_its_look_its_boxes_and_perhaps_the_opening_of_its_video():
    cost = CostModel(seconds_per_video=10.0, seconds_per_frame=2.0, seconds_per_box=7.5)
    assert cost.seconds(np.array([True, False, True]), np.array([2, 0, 0])).tolist() == [27.0, 2.0, 12.0]


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_a_cost_that_makes_no_sense_is_named(wrong):
    with pytest.raises(ValueError, match="seconds_per_box"):
        CostModel(seconds_per_video=0.0, seconds_per_frame=0.0, seconds_per_box=wrong)


def test_labour_counts_frames_boxes_videos_and_the_seconds_that_are_known():
    rows = [row("a", 0, 2, 5.0), row("a", 1, 0, 1.0), row("b", 0, 1, None)]
    summary = labour(pa.Table.from_pylist(rows, schema=LABELS_SCHEMA))
    assert summary == LabourSummary(frames=3, negative_frames=1, boxes=3, videos=2, seconds=6.0)


def test_a_corrected_frame_counts_once_as_last_labelled_but_cost_twice():
    rows = [row("a", 0, 2, 5.0), row("a", 1, 1, 4.0), row("a", 0, 0, 3.0, round_index=1)]
    summary = labour(pa.Table.from_pylist(rows, schema=LABELS_SCHEMA))
    assert summary == LabourSummary(frames=2, negative_frames=1, boxes=1, videos=1, seconds=12.0)


def test_no_labels_are_no_labour():
    assert labour(LABELS_SCHEMA.empty_table()) == LabourSummary(0, 0, 0, 0, 0.0)


def test_answers_that_tell_no_time_cost_what_is_expected():
    """A video costs 10 to open, a frame 3, a box 12: 5 known, 10 + 3 + 24, 3 (of a video that is open), 10 + 3 + 12."""
    cost = CostModel(seconds_per_video=10.0, seconds_per_frame=3.0, seconds_per_box=12.0)
    rows = [
        row("a", 0, 2, 5.0),
        row("b", 0, 2, None),
        row("a", 1, 0, None),
        row("b", 0, 1, None) | {"annotator": "ben"},
    ]
    of_the_pool = row("a", 2, 5, None) | {"source": "pool"}
    labels = pa.Table.from_pylist([*rows, of_the_pool], schema=LABELS_SCHEMA)
    assert spent_seconds(labels, cost) == 5 + 37 + 3 + 25
    assert spent_seconds(LABELS_SCHEMA.empty_table(), cost) == 0
