"""Purchases foretold. Oracles: sums by hand, and what selection and the simulated annotator then come to."""

import pyarrow as pa
import pytest

from hybridal_ray.forecast.purchase import Plan, after, picks_in, planned, priced, unanswered
from hybridal_ray.oracles.cost import CostModel
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.run_budget import RunBudget

COST = CostModel(seconds_per_video=10.0, seconds_per_frame=3.0, seconds_per_box=12.0)
FREE = RunBudget(None, None, None)
BOX = {"tube_id": "t", "class_id": 0, "x1": 0.0, "y1": 0.0, "x2": 9.0, "y2": 9.0, "mask": None}


def videos(*lengths: int) -> list[Video]:
    return [Video(f"v{n}", f"v{n}.mp4", "train", f"v{n}", length, 64, 48) for n, length in enumerate(lengths)]


def labels(*boxes: int) -> pa.Table:
    """One labelled frame with so many boxes in a video of its own, 20 s each."""
    rows = [
        {"video_id": f"v{n}", "frame": 0, "round": 0, "source": "test", "seconds": 20.0, "boxes": [BOX] * count}
        for n, count in enumerate(boxes)
    ]
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def test_price_of_picks_by_hand() -> None:
    """Two videos opened, three frames looked at, two boxes a frame as on the labels before."""
    found = priced(picks_in(["a", "b", "a"]), labels(1, 3), COST, picked=True)
    assert (found.frames, found.videos, found.boxes, found.picked) == (3, 2, 6.0, True)
    assert found.annotator_seconds == 2 * 10 + 3 * 3 + 6 * 12


@pytest.mark.parametrize(
    ("lengths", "asked", "budget", "most_frames", "expected"),
    [
        ((9, 9, 9, 9), (3, 4), FREE, None, (12, 3)),
        ((9, 9), (3, 4), FREE, None, (8, 2)),  # there are but two videos
        ((2, 3, 4), (3, 9), FREE, None, (7, 3)),  # and all their frames but the two that are labelled
        ((9, 9, 9, 9), (3, 4), FREE, 6, (6, 2)),
        ((9, 9, 9, 9), (3, 4), RunBudget(7, None, None), None, (5, 2)),  # 2 of 7 are labelled
        ((9, 9, 9, 9), (3, 4), RunBudget(None, 3, None), None, (8, 2)),  # of a new video and of a labelled one
        ((9, 9, 9, 9), (3, 4), RunBudget(None, None, 120.0), None, (4, 1)),  # 80 s left: 25 + 3 × 15 = 70
        ((9, 9, 9, 9), (3, 4), RunBudget(2, None, None), None, (0, 0)),
    ],
)
def test_plan_by_hand(
    lengths: tuple[int, ...],
    asked: tuple[int, int],
    budget: RunBudget,
    most_frames: int | None,
    expected: tuple[int, int],
) -> None:
    found = planned(Plan(*asked, most_frames), videos(*lengths), budget, labels(1, 1), COST)
    assert (found.frames, found.videos) == expected
    assert not found.picked
    assert found.annotator_seconds == 10 * found.videos + 15 * found.frames


@pytest.mark.parametrize(
    ("plan", "budget", "expected"),
    [
        (
            Plan(2, 3, revisit_fraction=1.0),
            RunBudget(None, 2, None),
            (6, 2, 0),
        ),  # whose videos are labelled
        (Plan(2, 3, revisit_fraction=0.5), FREE, (6, 2, 1)),
        (Plan(2, 3, in_frames=True), FREE, (6, 4, 2)),  # a video of its own for each, as far as there are
        (Plan(2, 3, most_frames=3, in_frames=True), FREE, (3, 3, 2)),
        (Plan(9, 9, in_frames=True), FREE, (4 * 9 - 2, 4, 2)),
    ],
)
def test_labelled_videos_in_a_plan(plan: Plan, budget: RunBudget, expected: tuple[int, int, int]) -> None:
    """Four videos of nine frames, of which two have one label each."""
    found = planned(plan, videos(9, 9, 9, 9), budget, labels(1, 1), COST)
    assert (found.frames, found.videos, found.new_videos) == expected


def test_what_a_purchase_leaves_of_a_budget() -> None:
    bought = priced(picks_in(["a", "a", "b"]), labels(), COST, picked=False)
    assert after(RunBudget(10, 5, 100.0), bought) == RunBudget(7, 3, 100.0 - (2 * 10 + 3 * 15))
    assert after(FREE, bought) == FREE


def test_a_video_with_labels_costs_nothing_of_a_budget_in_videos() -> None:
    bought = priced(picks_in(["v0", "v0", "b"]), labels(1), COST, picked=True)
    assert (bought.videos, bought.new_videos) == (2, 1)
    assert after(RunBudget(None, 5, None), bought).max_videos == 4


def test_answered_picks_are_bought_already() -> None:
    """Frame 0 of v0 is labelled; `picks_in` numbers the frames."""
    left = unanswered(picks_in(["v0", "v0", "b"]), labels(1))
    assert list(zip(left["video_id"].to_pylist(), left["frame"].to_pylist(), strict=True)) == [("v0", 1), ("b", 2)]


def test_stand_ins_have_the_columns_of_a_selection() -> None:
    assert picks_in(["a"]).schema.equals(SELECTION_SCHEMA)
