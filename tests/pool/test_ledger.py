"""Oracle: a dictionary that is overwritten purchase by purchase, in the order of their names."""

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool import ledger, table_files

BOXES = st.fixed_dictionaries(
    {
        "tube_id": st.sampled_from(["0", "1"]),
        "class_id": st.integers(0, 3),
        **{corner: st.integers(0, 320).map(float) for corner in ("x1", "y1", "x2", "y2")},
        "mask": st.none() | st.just("0d0"),
    }
)
ROWS = st.fixed_dictionaries(
    {
        "video_id": st.sampled_from(["a", "b/c", "d"]),
        "frame": st.integers(0, 4),
        "round": st.integers(0, 3),
        "source": st.just("simulated"),
        "seconds": st.none() | st.floats(0, 100),
        "boxes": st.lists(BOXES, max_size=2),
    }
)
PURCHASES = st.lists(st.lists(ROWS, max_size=5), max_size=3)


def bought(purchases: list[list[dict]], root: str) -> pa.Table:
    for number, rows in enumerate(purchases):
        ledger.append(root, f"round-{number:03d}", pa.Table.from_pylist(rows, ledger.LABELS_SCHEMA))
    return ledger.read(root)


@settings(max_examples=40, deadline=None)
@given(PURCHASES)
def test_the_last_row_of_a_frame_counts(purchases: list[list[dict]]) -> None:
    with tempfile.TemporaryDirectory() as root:
        labels = bought(purchases, root)
    expected: dict[str, dict[int, list[dict]]] = {}
    for row in (row for rows in purchases for row in rows):
        expected.setdefault(row["video_id"], {})[row["frame"]] = row["boxes"]

    found = ledger.labels_by_video(labels)

    assert found.keys() == expected.keys()
    for video_id, frames in expected.items():
        assert found[video_id].keys() == frames.keys()
        for frame, boxes in frames.items():
            assert found[video_id][frame] == tuple(
                ledger.LabelledBox(
                    box["tube_id"], box["class_id"], (box["x1"], box["y1"], box["x2"], box["y2"]), box["mask"]
                )
                for box in boxes
            )
    assert ledger.answered_frames(labels) == {video_id: tuple(sorted(frames)) for video_id, frames in expected.items()}
    counts = ledger.label_counts(labels)
    assert (counts.videos, counts.frames) == (len(expected), sum(len(frames) for frames in expected.values()))


def row_of(frame: int, boxes: list[dict], round_index: int = 0) -> dict:
    return {
        "video_id": "a",
        "frame": frame,
        "round": round_index,
        "source": "person",
        "seconds": None,
        "boxes": boxes,
    }


def test_a_labelled_frame_without_boxes_is_a_label(tmp_path: Path) -> None:
    labels = bought([[row_of(7, [])]], str(tmp_path))
    assert ledger.labels_by_video(labels) == {"a": {7: ()}}
    assert ledger.answered_frames(labels) == {"a": (7,)}


def test_the_same_purchase_again_replaces_itself(tmp_path: Path) -> None:
    for frame in (1, 2):
        ledger.append(str(tmp_path), "round-000", pa.Table.from_pylist([row_of(frame, [])], ledger.LABELS_SCHEMA))
    assert ledger.answered_frames(ledger.read(str(tmp_path))) == {"a": (2,)}


def test_no_purchase_is_an_empty_ledger(tmp_path: Path) -> None:
    labels = ledger.read(str(tmp_path))
    assert labels.schema == ledger.LABELS_SCHEMA
    assert ledger.labels_by_video(labels) == {}


def test_a_damaged_purchase_names_file_and_column(tmp_path: Path) -> None:
    bought([[row_of(0, [])]], str(tmp_path))
    table_files.write_table(f"{tmp_path}/labels/round-001.parquet", pa.table({"video_id": ["a"], "frame": [1]}))
    with pytest.raises(UserError, match=r"round-001\.parquet: column 'round' is missing"):
        ledger.read(str(tmp_path))
