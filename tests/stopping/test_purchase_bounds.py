"""Purchases cut to a budget. Oracle: what buying them one frame after the other comes to; properties by hypothesis."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.oracles.cost import CostModel
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.run_budget import RunBudget, boxes_per_frame, expected_seconds
from hybridal_ray.selection.request import Selection
from hybridal_ray.stopping.purchase_bounds import opens_video, within_seconds, within_videos

Frame = tuple[str, int]
frames = st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 9)), unique=True, max_size=25)
bounds = st.none() | st.integers(1, 30)
COST = CostModel(seconds_per_video=10.0, seconds_per_frame=3.0, seconds_per_box=12.0)


def picks_of(wanted: list[Frame]) -> pa.Table:
    rows = [{"video_id": video, "frame": frame, "rank": rank} for rank, (video, frame) in enumerate(wanted)]
    empty = dict.fromkeys(SELECTION_SCHEMA.names)
    return pa.Table.from_pylist([{**empty, **row} for row in rows], schema=SELECTION_SCHEMA)


def labels_of(bought: list[Frame], seconds: float | None = 25.0) -> pa.Table:
    rows = [
        {"video_id": video, "frame": frame, "round": 0, "source": "test", "seconds": seconds, "boxes": []}
        for video, frame in bought
    ]
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def listed(picks: pa.Table) -> list[Frame]:
    return list(zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True))


def test_new_videos_beyond_the_budget_are_left_out_and_labelled_ones_stay() -> None:
    wanted = [("a", 0), ("b", 0), ("b", 1), ("c", 0), ("d", 3), ("b", 2)]
    kept = within_videos(picks_of(wanted), labelled={"d", "z"}, max_videos=4)
    assert listed(kept) == [("a", 0), ("b", 0), ("b", 1), ("d", 3), ("b", 2)]
    assert kept["rank"].to_pylist() == [0, 1, 2, 3, 4]
    assert kept.schema.equals(SELECTION_SCHEMA)


def test_seconds_by_hand() -> None:
    """Frames cost 3 + 12, and 10 more where a video is opened: 25, 40, 65, 80 in all."""
    wanted = picks_of([("a", 0), ("a", 1), ("b", 0), ("a", 2)])
    seconds = expected_seconds(wanted["video_id"].to_pylist(), 1.0, COST)
    assert seconds.tolist() == [25, 15, 25, 15]
    assert [len(within_seconds(wanted, seconds, left)) for left in (-1, 0, 24.9, 25, 64, 65, 80, 1e9)] == [
        0, 0, 0, 1, 2, 3, 4, 4,
    ]  # fmt: skip


def test_second_opinions_cost_as_much_again() -> None:
    """Of four frames the first and the third are answered twice: the latter opens a again."""
    twice = replace(COST, overlap=0.5)
    assert expected_seconds(["b", "a", "a", "a"], 1.0, twice).tolist() == [25 + 25, 25, 15 + 25, 15]
    everything = expected_seconds(["a", "a", "b"], 1.0, replace(COST, overlap=1.0))
    assert everything.tolist() == [50, 30, 50]
    cut, bounded_by = RunBudget(None, None, 100.0).cut(
        Selection(picks_of([("a", 0), ("a", 1), ("b", 0)])), labels_of([]), replace(COST, overlap=1.0)
    )
    assert (len(cut.picks), bounded_by) == (2, "seconds")


@given(st.lists(st.sampled_from("abc"), max_size=10))
def test_first_frames_open_videos(video_ids: list[str]) -> None:
    assert opens_video(video_ids).tolist() == [video not in video_ids[:row] for row, video in enumerate(video_ids)]


@given(frames, frames, bounds, bounds, st.none() | st.floats(1, 900))
def test_no_budget_is_overshot_and_a_larger_one_buys_no_less(
    wanted: list[Frame], bought: list[Frame], max_frames: int | None, max_videos: int | None, max_seconds: float | None
) -> None:
    labels = labels_of(bought)

    def purchase(budget: RunBudget) -> tuple[list[Frame], str | None]:
        asked = Selection(picks_of(wanted)[: budget.frames_left(labels)])  # strategies keep to frames themselves
        cut, bounded_by = budget.cut(asked, labels, COST)
        return listed(cut.picks), bounded_by

    kept, bounded_by = purchase(RunBudget(max_frames, max_videos, max_seconds))
    assert kept == [frame for frame in wanted if frame in kept]
    if max_frames is not None:
        assert len(kept) + len(bought) <= max(max_frames, len(bought))
    if max_videos is not None:
        videos = {video for video, _ in bought}
        assert len(videos | {video for video, _ in kept}) <= max(max_videos, len(videos))
    if max_seconds is not None and kept:
        opened = len({video for video, _ in kept})
        assert 25 * len(bought) + 10 * opened + (3 + 12 * boxes_per_frame(labels)) * len(kept) <= max_seconds + 1e-6
    assert (bounded_by is not None) >= (len(kept) < len(wanted))
    for larger in (
        RunBudget(None if max_frames is None else max_frames + 1, max_videos, max_seconds),
        RunBudget(max_frames, None if max_videos is None else max_videos + 1, max_seconds),
        RunBudget(max_frames, max_videos, None if max_seconds is None else max_seconds + 40),
    ):
        assert bool(purchase(larger)[0]) >= bool(kept)  # so that a run goes on wherever it went on before


def test_boxes_to_expect_are_the_mean_of_those_seen() -> None:
    box = {"tube_id": "t", "class_id": 0, "x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0, "mask": None}
    rows = labels_of([("a", 0), ("a", 1), ("a", 2), ("b", 0)]).to_pylist()
    for row, boxes in zip(rows, ([box, box, box], [], [box], [box]), strict=True):
        row["boxes"] = boxes
    assert boxes_per_frame(pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)) == 1.25
    assert boxes_per_frame(LABELS_SCHEMA.empty_table()) == 1.0
    assert np.allclose(expected_seconds(["a", "a"], 1.25, COST), [10 + 3 + 15, 3 + 15])


def test_a_budget_in_seconds_holds_where_answers_tell_no_time() -> None:
    """Each frame of a video of its own: 25 s with the box that is assumed at first, 13 without; at last 8 are left."""
    budget, wanted = RunBudget(None, None, 60.0), [(video, 0) for video in "abcdef"]
    bought: list[Frame] = []
    for picked in (["a", "b"], ["c", "d"], []):
        cut, bounded_by = budget.cut(
            Selection(picks_of([frame for frame in wanted if frame not in bought])), labels_of(bought, None), COST
        )
        assert (listed(cut.picks), bounded_by) == ([(video, 0) for video in picked], "seconds")
        bought += listed(cut.picks)
