"""What is done to tubes once they are linked: weak ends are cut off, doubles dropped, and a score is given."""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np

from hybridal_ray.evaluation.boxes import Floats
from hybridal_ray.evaluation.tubes import Tube, tube_overlap

TubeScore = Literal["mean", "max", "median"]


def score_tube(objectness: Floats, how: TubeScore) -> float:
    """How sure it is that a tube is an actor, from the objectness of its boxes, (m,); in [0, 1]."""
    measures: dict[TubeScore, Callable[[Floats], np.floating]] = {"mean": np.mean, "max": np.max, "median": np.median}
    return float(measures[how](objectness))


def trim_tube(tube: Tube, share: float) -> Tube:
    """Cuts the ends off at which the objectness is below a share of the tube's greatest; 0 cuts nothing.

    A tube begins and ends late because foreground fades; in between a weak box is kept, as it bridges.
    """
    strong = np.flatnonzero(tube.objectness >= share * tube.objectness.max())
    kept = slice(int(strong[0]), int(strong[-1]) + 1)
    return Tube(tube.frames[kept], tube.boxes[kept], tube.objectness[kept], tube.class_probabilities)


def suppress_tubes(tubes: Sequence[Tube], iou: float, how: TubeScore) -> list[Tube]:
    """Keeps the best of every group of tubes that lie on one another, whatever their classes.

    Args:
        tubes: Of one video.
        iou: A tube is dropped when its tube IoU with a kept one of higher score is greater.
        how: The score that ranks them; of equals the earlier goes first.

    Returns:
        The tubes kept, in their order.
    """
    scores = [score_tube(tube.objectness, how) for tube in tubes]
    kept: list[int] = []
    for candidate in sorted(range(len(tubes)), key=lambda index: (-scores[index], index)):
        if not any(_lies_on(tubes[candidate], tubes[other], iou) for other in kept):
            kept.append(candidate)
    return [tubes[index] for index in sorted(kept)]


def _lies_on(one: Tube, other: Tube, iou: float) -> bool:
    # Nearly all pairs of a long video are apart in time, and the IoU takes a hundred times as long as to see that.
    if one.frames[0] > other.frames[-1] or other.frames[0] > one.frames[-1]:
        return False
    return tube_overlap(one.frames, one.boxes, other.frames, other.boxes) > iou
