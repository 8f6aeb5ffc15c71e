"""How far two annotators of the same frames agree: where the actors are, and what they do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from scipy.optimize import linear_sum_assignment

from hybridal_ray.evaluation.boxes import iou_matrix
from hybridal_ray.pool.ledger import SECOND_OPINION

SAME_ACTOR_IOU = 0.5  # boxes that overlap less are of different actors
EDGES = ("x1", "y1", "x2", "y2")


@dataclass(frozen=True)
class Agreement:
    """Two annotators on the same frames.

    Attributes:
        frames: Answered by two, without one saying that it cannot be told.
        actors: Pairs of boxes of one actor each.
        mean_iou: Of those pairs; None where there is none.
        class_kappa: Cohen's κ of the classes of those pairs, 1 for perfect agreement, 0 for what chance would give;
            None where there is no pair, or all are of one class for both.
        actor_f1: 2 · pairs / (boxes of one + boxes of the other), whether the same actors were seen; None without any.
        told_apart: Share of the frames of which both, or neither, said that it cannot be told, in [0, 1].
    """

    frames: int
    actors: int
    mean_iou: float | None
    class_kappa: float | None
    actor_f1: float | None
    told_apart: float

    def figures(self) -> dict[str, float | int]:
        """What is known, by the names that tracking shows."""
        named = {
            "agreement_frames": self.frames,
            "agreement_actors": self.actors,
            "agreement_mean_iou": self.mean_iou,
            "agreement_class_kappa": self.class_kappa,
            "agreement_actor_f1": self.actor_f1,
            "agreement_told_apart": self.told_apart,
        }
        return {name: value for name, value in named.items() if value is not None}


def agreement_of(labels: pa.Table, request: str) -> Agreement | None:
    """The agreement on the frames of a request that a second annotator answered; None where there is none.

    Of each annotator the last answer counts. Boxes are paired one to one so that the sum of their IoU is greatest,
    whatever their class; pairs of an IoU below `SAME_ACTOR_IOU` are dropped.

    Args:
        labels: The ledger (`LABELS_SCHEMA`).
        request: Its id.
    """
    rows = labels.filter(pc.equal(labels["request"], request)).to_pylist()
    firsts: dict[tuple[str, int], dict[str, Any]] = {}
    seconds: dict[tuple[str, int], dict[str, Any]] = {}
    for row in rows:
        if row["standing"] in (None, SECOND_OPINION):
            book = firsts if row["standing"] is None else seconds
            book[row["video_id"], row["frame"]] = row
    pairs = [(firsts[place], second) for place, second in seconds.items() if place in firsts]
    if not pairs:
        return None
    told = [(one, other) for one, other in pairs if one["answer"] is None and other["answer"] is None]
    overlaps: list[float] = []
    classes: list[tuple[int, int]] = []
    boxes = sum(len(one["boxes"]) + len(other["boxes"]) for one, other in told)
    for one, other in told:
        for first, second, overlap in paired_boxes(one["boxes"], other["boxes"]):
            overlaps.append(overlap)
            classes.append((first["class_id"], second["class_id"]))
    return Agreement(
        frames=len(told),
        actors=len(overlaps),
        mean_iou=float(np.mean(overlaps)) if overlaps else None,
        class_kappa=cohens_kappa(classes),
        actor_f1=2 * len(overlaps) / boxes if boxes else None,
        told_apart=float(np.mean([(one["answer"] is None) == (other["answer"] is None) for one, other in pairs])),
    )


def paired_boxes(
    first: Sequence[Mapping[str, Any]], second: Sequence[Mapping[str, Any]]
) -> list[tuple[Mapping[str, Any], Mapping[str, Any], float]]:
    """Boxes of two answers that are of the same actor, and their IoU (Hungarian matching)."""
    if not first or not second:
        return []
    overlap = iou_matrix(*(np.array([[box[edge] for edge in EDGES] for box in boxes]) for boxes in (first, second)))
    rows, columns = linear_sum_assignment(-overlap)
    matched = zip(rows.tolist(), columns.tolist(), strict=True)
    return [
        (first[row], second[column], float(overlap[row, column]))
        for row, column in matched
        if overlap[row, column] >= SAME_ACTOR_IOU
    ]


def cohens_kappa(classes: Sequence[tuple[int, int]]) -> float | None:
    """Cohen's κ = (p_o − p_e) / (1 − p_e) of pairs of classes (Cohen, 1960); None where p_e is 1, or without pairs."""
    if not classes:
        return None
    pairs = np.array(classes)
    observed = float((pairs[:, 0] == pairs[:, 1]).mean())
    values = np.unique(pairs)
    expected = float(sum((pairs[:, 0] == value).mean() * (pairs[:, 1] == value).mean() for value in values))
    return None if expected >= 1 else (observed - expected) / (1 - expected)
