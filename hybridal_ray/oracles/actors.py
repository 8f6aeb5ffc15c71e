"""Who is who: the names of actors that nobody named, by the labelled frames nearby."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from hybridal_ray.evaluation.boxes import iou_matrix
from hybridal_ray.oracles.checking import AnsweredBox
from hybridal_ray.pool.ledger import LabelledBox


def named_boxes(boxes: Sequence[AnsweredBox], frame: int, known: Mapping[int, Sequence[LabelledBox]]) -> list[str]:
    """A name for each box of a frame, given ones as they are.

    A box without one is the actor of the same class on the nearest labelled frame whose box it overlaps most, one to
    one; where neither frame has another actor of the class, whether they overlap or not, since people move. What
    is left over is somebody new.

    Args:
        boxes: Of one frame.
        frame: Which.
        known: The labelled frames of the video so far.

    Returns:
        As many names as boxes; no two boxes of the frame share one that was not given.
    """
    names: list[str | None] = [box.actor for box in boxes]
    neighbours = sorted(
        (number for number in known if number != frame), key=lambda number: (abs(number - frame), number)
    )
    for class_id in sorted({box.class_id for box in boxes}):
        for neighbour in neighbours:
            rows = [row for row, box in enumerate(boxes) if box.class_id == class_id and names[row] is None]
            others = [
                actor for actor in known[neighbour] if actor.class_id == class_id and actor.tube_id not in set(names)
            ]
            if not rows:
                break
            if not others:
                continue
            overlap = iou_matrix(np.array([boxes[row].box for row in rows]), np.array([actor.box for actor in others]))
            alone = len(rows) == len(others) == 1
            for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
                if alone or overlap[row, column] > 0:
                    names[rows[row]] = others[column].tube_id
            break  # a frame farther away would make two actors of one who left
    taken = {name for name in names if name is not None} | {
        actor.tube_id for actors in known.values() for actor in actors
    }
    new = (name for number in range(len(boxes) + len(taken)) if (name := f"actor-{frame}-{number}") not in taken)
    return [name if name is not None else next(new) for name in names]
