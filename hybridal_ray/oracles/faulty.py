"""What people get wrong, put into the labels of the simulated annotator.

Every fault is drawn from the run's seed, the video, and the frame or the actor, so that it does not depend on when a
frame is asked for or by which strategy: two strategies that ask for the same frame get the same answer.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from hybridal_ray.pool.ledger import CANNOT_TELL, LABELS_SCHEMA
from hybridal_ray.pool.masks import BoolMask, decode_mask, encode_mask

Draw = Callable[..., np.random.Generator]


@dataclass(frozen=True)
class AnnotatorFaults:
    """How an annotator errs.

    Attributes:
        box_jitter: Standard deviation by which each edge of a box is misplaced, as a share of the box's side.
        missed: Share of the actors on a frame that are not drawn.
        wrong_class: Share of the actors that are given another class, the same wrong one on all their frames.
        cannot_tell: Share of the frames that are refused.
        slowness: Times the modelled seconds.
        pieces: Parts in which the answers of a purchase come in, in no order.
    """

    box_jitter: float
    missed: float
    wrong_class: float
    cannot_tell: float
    slowness: float
    pieces: int


def with_faults(
    labels: pa.Table,
    faults: AnnotatorFaults,
    *,
    sizes: Mapping[str, tuple[int, int]],
    num_classes: int,
    seconds_per_box: float,
    seed: int,
) -> pa.Table:
    """The labels as a person would have given them who errs.

    A box stays in the picture and at least a pixel wide; its mask moves with its middle. A refused frame costs the
    time to look at it.

    Args:
        labels: Table of `LABELS_SCHEMA`, all correct.
        faults: How the annotator errs.
        sizes: Height and width of each video, in pixels.
        num_classes: C.
        seconds_per_box: What a box that is not drawn saves.
        seed: Of the run.

    Returns:
        Table of `LABELS_SCHEMA`, the same frames in the same order.
    """

    def draw(*identity: object) -> np.random.Generator:
        digest = hashlib.blake2b("\0".join(map(str, (seed, *identity))).encode(), digest_size=16).digest()
        return np.random.default_rng(int.from_bytes(digest, "big"))

    rows = []
    for row in labels.to_pylist():
        refused = draw("frame", row["video_id"], row["frame"]).random() < faults.cannot_tell
        boxes = [] if refused else _drawn_boxes(row, faults, sizes[row["video_id"]], num_classes, draw)
        spared = seconds_per_box * (len(row["boxes"]) - len(boxes))
        rows.append(
            {
                **row,
                "boxes": boxes,
                "answer": CANNOT_TELL if refused else None,
                "seconds": faults.slowness * max(row["seconds"] - spared, 0.0),
            }
        )
    return pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)


def in_pieces(labels: pa.Table, pieces: int, seed: int) -> list[pa.Table]:
    """Cuts a purchase into parts of about the same size, its frames in no order; every frame is in one of them.

    Args:
        labels: Table of `LABELS_SCHEMA`.
        pieces: Parts, at least 1; no more come than there are frames.
        seed: Of the order.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    return [labels.take(part) for part in np.array_split(order, max(min(pieces, len(labels)), 1))]


def _drawn_boxes(
    row: Mapping[str, Any], faults: AnnotatorFaults, size: tuple[int, int], num_classes: int, draw: Draw
) -> list[dict[str, Any]]:
    boxes = []
    for box in row["boxes"]:
        on_frame = draw("actor", row["video_id"], row["frame"], box["tube_id"])
        if on_frame.random() < faults.missed:
            continue
        of_actor = draw("class", row["video_id"], box["tube_id"])
        mistaken = num_classes > 1 and of_actor.random() < faults.wrong_class
        others = (box["class_id"] + 1 + int(of_actor.integers(max(num_classes - 1, 1)))) % num_classes
        moved = _misplaced(box, faults.box_jitter, size, on_frame) if faults.box_jitter else box
        boxes.append({**moved, "class_id": others if mistaken else box["class_id"]})
    return boxes


def _misplaced(
    box: Mapping[str, Any], jitter: float, size: tuple[int, int], generator: np.random.Generator
) -> dict[str, Any]:
    """The box with each edge moved by a normal deviate, and its mask moved as its middle was."""
    height, width = size
    across, down = jitter * (box["x2"] - box["x1"]), jitter * (box["y2"] - box["y1"])
    x1, y1, x2, y2 = np.array([box[name] for name in ("x1", "y1", "x2", "y2")]) + generator.normal(
        scale=[across, down, across, down]
    )
    x1, x2 = _inside(x1, x2, width)
    y1, y2 = _inside(y1, y2, height)
    mask = box["mask"]
    if mask is not None:
        right = round((x1 + x2 - box["x1"] - box["x2"]) / 2)
        lower = round((y1 + y2 - box["y1"] - box["y2"]) / 2)
        mask = encode_mask(_shifted(decode_mask(mask, height, width), lower, right))
    return {**box, "x1": x1, "y1": y1, "x2": x2, "y2": y2, "mask": mask}


def _inside(first: float, last: float, length: int) -> tuple[float, float]:
    """Two edges in their order, at least a pixel apart, within [0, length]."""
    low, high = sorted((first, last))
    low = min(max(low, 0.0), length - 1.0)
    return low, min(max(high, low + 1.0), float(length))


def _shifted(mask: BoolMask, down: int, right: int) -> BoolMask:
    """The mask moved by whole pixels; what leaves the picture is gone."""
    height, width = mask.shape
    moved = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    rows, columns = rows + down, columns + right
    kept = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    moved[rows[kept], columns[kept]] = True
    return moved
