"""Oracles: a plain loop over the ground truth, and a purchase written out by hand."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.oracles import ORACLES
from hybridal_ray.oracles.cost import CostModel
from hybridal_ray.oracles.simulated import SimulatedAnnotator
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA

RELAXED = settings(deadline=None, max_examples=50)  # machines that test are busy
COST = CostModel(seconds_per_video=100.0, seconds_per_frame=10.0, seconds_per_box=1.0)


def tube_row(video_id: str, tube_id: str, frame: int, mask: str | None = None) -> dict[str, Any]:
    box = {"x1": 1.0, "y1": 2.0, "x2": 3.0 + frame, "y2": 4.0}
    return {"video_id": video_id, "tube_id": tube_id, "class_id": len(tube_id), "frame": frame, "mask": mask} | box


def selection_of(frames: list[tuple[str, int]]) -> pa.Table:
    rows = [{"video_id": video_id, "frame": frame, "rank": rank} for rank, (video_id, frame) in enumerate(frames)]
    return pa.Table.from_pylist(rows, schema=SELECTION_SCHEMA)


def labels_by_loop(tubes: list[dict[str, Any]], frames: list[tuple[str, int]], round_index: int) -> list[dict]:
    """What an annotator would write down, frame by frame."""
    labels, opened = [], set()
    for video_id, frame in frames:
        on_frame = [tube for tube in tubes if tube["video_id"] == video_id and tube["frame"] == frame]
        boxes = [
            {key: tube[key] for key in ("tube_id", "class_id", "x1", "y1", "x2", "y2", "mask")}
            for tube in sorted(on_frame, key=lambda tube: tube["tube_id"])
        ]
        seconds = 10.0 + len(boxes) + (0.0 if video_id in opened else 100.0)
        opened.add(video_id)
        facts = {"video_id": video_id, "frame": frame, "round": round_index, "source": "simulated"}
        unknown = dict.fromkeys(LABELS_SCHEMA.names)
        labels.append(unknown | facts | {"seconds": seconds, "boxes": boxes})
    return labels


places = st.tuples(st.sampled_from("abc"), st.integers(0, 5))


@RELAXED
@given(
    st.lists(st.tuples(places, st.sampled_from(["t", "uu"])), unique=True),
    st.lists(places, unique=True, max_size=10),
    st.randoms(use_true_random=False),
)
def test_exactly_the_selected_frames_are_revealed(boxes, frames, random):
    tubes = [tube_row(video_id, tube_id, frame) for (video_id, frame), tube_id in boxes]
    selection = selection_of(frames)
    shuffled = selection.take(pa.array(random.sample(range(len(frames)), len(frames)), pa.int64()))
    annotator = SimulatedAnnotator(pa.Table.from_pylist(tubes, schema=TUBES_SCHEMA), COST)
    labels = annotator.label(shuffled, round_index=3)
    assert labels.schema == LABELS_SCHEMA
    assert labels.to_pylist() == labels_by_loop(tubes, frames, 3)


def test_masks_come_along_and_frames_without_actors_are_labels():
    tubes = pa.Table.from_pylist([tube_row("a", "t", 4, mask="04"), tube_row("a", "t", 5)], schema=TUBES_SCHEMA)
    labels = SimulatedAnnotator(tubes, COST).label(selection_of([("a", 4), ("a", 0)]), round_index=0).to_pylist()
    box = {"tube_id": "t", "class_id": 1, "x1": 1.0, "y1": 2.0, "x2": 7.0, "y2": 4.0, "mask": "04"}
    assert [label["boxes"] for label in labels] == [[box], []]
    assert [label["seconds"] for label in labels] == [111.0, 10.0]


def test_other_truth_on_frames_that_were_not_selected_changes_nothing():
    honest = [tube_row("a", "t", frame) for frame in range(6)]
    poisoned = [row if row["frame"] in (1, 3) else row | {"class_id": 9, "x2": 99.0} for row in honest]
    selection = selection_of([("a", 3), ("a", 1)])
    first, second = (
        SimulatedAnnotator(pa.Table.from_pylist(rows, schema=TUBES_SCHEMA), COST).label(selection, 0)
        for rows in (honest, poisoned)
    )
    assert first == second


def test_a_tube_table_of_several_chunks_is_read_whole():
    chunks = [pa.Table.from_pylist([tube_row("a", "t", frame)], schema=TUBES_SCHEMA) for frame in range(4)]
    labels = SimulatedAnnotator(pa.concat_tables(chunks), COST).label(selection_of([("a", 3), ("a", 0)]), 0)
    assert [label["boxes"][0]["x2"] for label in labels.to_pylist()] == [6.0, 3.0]


@pytest.mark.parametrize("name", sorted(ORACLES))
def test_every_registered_oracle_labels(name):
    annotator = ORACLES[name](TUBES_SCHEMA.empty_table(), COST)
    assert annotator.label(selection_of([("a", 0)]), round_index=1).num_rows == 1


def test_a_frame_that_nobody_looked_at_is_not_made_up_to_be_empty() -> None:
    tubes = TUBES_SCHEMA.empty_table()
    looked_at = pa.Table.from_pylist(
        [{"video_id": "a", "frame": frame} for frame in (0, 2)], schema=LABELLED_FRAMES_SCHEMA
    )
    annotator = SimulatedAnnotator(tubes, COST, looked_at)
    assert annotator.label(selection_of([("a", 2), ("a", 0)]), 0)["boxes"].to_pylist() == [[], []]
    message = r"^oracle\.name: simulated: 2 of the 3 frames picked .* the first is frame 1 of a; expected"
    with pytest.raises(UserError, match=message):
        annotator.label(selection_of([("a", 2), ("b", 0), ("a", 1)]), 0)
