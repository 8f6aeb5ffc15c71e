"""Oracles: shares counted over many frames, labels of somebody who never errs, and the bounds of the picture."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.oracles.faulty import AnnotatorFaults, in_pieces, with_faults
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.masks import box_of_mask, decode_mask, encode_mask

FAULTLESS = AnnotatorFaults(0.0, 0.0, 0.0, 0.0, 1.0, 1)
HEIGHT, WIDTH, CLASSES = 60, 80, 5


def mask_of(x1: int, y1: int, x2: int, y2: int) -> str:
    mask = np.zeros((HEIGHT, WIDTH), dtype=bool)
    mask[y1:y2, x1:x2] = True
    return encode_mask(mask)


def labels_of(videos: int, frames: int, actors: int = 2) -> pa.Table:
    """Every frame has the same actors, each 20 × 30 pixels; the classes go round."""
    boxes = [
        {"tube_id": f"t{a}", "class_id": a % CLASSES, "x1": 10.0 + 25 * a, "y1": 20.0, "x2": 30.0 + 25 * a, "y2": 50.0}
        for a in range(actors)
    ]
    boxes = [{**box, "mask": mask_of(int(box["x1"]), 20, int(box["x2"]), 50)} for box in boxes]
    rows = [
        {"video_id": f"v{video}", "frame": frame, "round": 0, "source": "simulated", "seconds": 27.0, "boxes": boxes}
        for video in range(videos)
        for frame in range(frames)
    ]
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def erring(labels: pa.Table, seed: int = 0, **faults: float) -> pa.Table:
    return with_faults(
        labels,
        dataclasses.replace(FAULTLESS, **faults),
        sizes={f"v{video}": (HEIGHT, WIDTH) for video in range(1000)},
        num_classes=CLASSES,
        seconds_per_box=12.0,
        seed=seed,
    )


def test_who_does_not_err_tells_the_truth() -> None:
    labels = labels_of(3, 4)
    assert erring(labels).equals(labels)


def test_faults_do_not_depend_on_what_else_is_asked_for() -> None:
    faults = {"box_jitter": 0.1, "missed": 0.3, "wrong_class": 0.3, "cannot_tell": 0.3}
    labels = labels_of(4, 5)
    together = erring(labels, **faults)
    alone = pa.concat_tables([erring(labels.slice(index, 1), **faults) for index in range(len(labels))])
    assert together.equals(alone)
    assert not together.equals(erring(labels, seed=1, **faults))


def test_shares_of_faults_are_those_asked_for() -> None:
    labels = labels_of(40, 25)  # 1,000 frames, 2,000 actors: 3 standard errors of a share of 0.2 are 0.038 and 0.027
    missed = pc.list_value_length(erring(labels, missed=0.2)["boxes"]).to_numpy()
    assert missed.sum() / 2000 == pytest.approx(0.8, abs=0.027)
    refused = erring(labels, cannot_tell=0.2)
    empty = pc.equal(pc.list_value_length(refused["boxes"]), 0)
    assert pc.equal(refused["answer"], "cannot tell").fill_null(False).equals(empty)
    assert pc.sum(empty).as_py() / 1000 == pytest.approx(0.2, abs=0.038)


def test_an_actor_that_is_mistaken_is_so_on_all_its_frames() -> None:
    labels = labels_of(400, 3)
    wrong = {}
    for row in erring(labels, wrong_class=0.25).to_pylist():
        for actor, box in enumerate(row["boxes"]):
            wrong.setdefault((row["video_id"], box["tube_id"]), set()).add((box["class_id"], actor))
    assert all(len(found) == 1 for found in wrong.values())
    mistaken = [class_id for ((class_id, actor),) in wrong.values() if class_id != actor]
    assert len(mistaken) / len(wrong) == pytest.approx(0.25, abs=0.046)  # 3 standard errors of 800 actors
    assert set(mistaken) == set(range(CLASSES))


def test_edges_are_misplaced_by_so_much_and_masks_go_along() -> None:
    labels = labels_of(100, 10, actors=1)
    found = [row["boxes"][0] for row in erring(labels, box_jitter=0.05).to_pylist()]
    for name, true, side in (("x1", 10, 20), ("x2", 30, 20), ("y1", 20, 30), ("y2", 50, 30)):
        errors = np.array([box[name] for box in found]) - true
        assert errors.std() == pytest.approx(0.05 * side, rel=0.1), name
        assert abs(errors.mean()) < 0.005 * side, name
    for box in found[:20]:
        x1, y1, x2, y2 = box_of_mask(decode_mask(box["mask"], HEIGHT, WIDTH))
        assert abs((x1 + x2) - (box["x1"] + box["x2"])) <= 1.001
        assert abs((y1 + y2) - (box["y1"] + box["y2"])) <= 1.001


@given(st.floats(0.01, 5.0), st.integers(0, 10_000))
def test_boxes_stay_in_the_picture(jitter: float, seed: int) -> None:
    for row in erring(labels_of(2, 2), seed=seed, box_jitter=jitter).to_pylist():
        for box in row["boxes"]:
            assert 0 <= box["x1"] <= box["x2"] - 0.999 <= WIDTH
            assert 0 <= box["y1"] <= box["y2"] - 0.999 <= HEIGHT
            assert box["x2"] <= WIDTH
            assert box["y2"] <= HEIGHT


def test_time_is_taken_for_what_is_drawn() -> None:
    labels = labels_of(1, 1)
    assert erring(labels, slowness=1.5)["seconds"].to_pylist() == [40.5]
    assert erring(labels, missed=1.0)["seconds"].to_pylist() == [3.0]
    assert erring(labels, cannot_tell=1.0)["seconds"].to_pylist() == [3.0]


@given(st.integers(0, 12), st.integers(1, 20), st.integers(0, 5))
def test_pieces_hold_every_frame_once(frames: int, pieces: int, seed: int) -> None:
    labels = labels_of(1, frames)
    parts = in_pieces(labels, pieces, seed)
    assert len(parts) == max(min(pieces, frames), 1)
    assert pa.concat_tables(parts).sort_by("frame").equals(labels)
