"""The area under the precision-recall curve of ranked detections, in the two ways that the field has.

A ranking is told in steps: in each, some false detections and then some found ones. Recall is constant in between,
so the steps of single hits give the exact area, and coarser steps an approximation to it.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


class Area(Protocol):
    """A way to measure the area."""

    def __call__(self, found: npt.ArrayLike, false: npt.ArrayLike, num_truth: npt.ArrayLike) -> Floats:
        """The areas of some rankings, see `envelope_area`."""
        ...


def steps_of(hits: npt.NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """The steps of a ranking, one a hit.

    Args:
        hits: (n,), for each detection in rank order, whether it was matched.

    Returns:
        Found and false detections of each step, (hits,) each. Those behind the last hit change no area.
    """
    places = np.flatnonzero(hits)
    return np.ones(len(places)), np.diff(places, prepend=-1) - 1.0


def envelope_area(found: npt.ArrayLike, false: npt.ArrayLike, num_truth: npt.ArrayLike) -> Floats:
    """All-point average precision: the area under the precision envelope.

    The envelope at a recall is the greatest precision at that recall or any higher one; the area is the exact
    sum over the recall steps (Pascal VOC from 2010 on).

    Args:
        found: (..., s), found detections of each step.
        false: (..., s), false ones before them.
        num_truth: (...), ground truths there are to find.

    Returns:
        (...), in [0, 1]; 0 without detections, NaN without ground truth.
    """
    found = np.asarray(found, dtype=np.float64)
    hits, falses = np.cumsum(found, axis=-1), np.cumsum(false, axis=-1)
    precision = hits / np.maximum(hits + falses, 1.0)
    envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    return _share((found * envelope).sum(axis=-1), num_truth)


def trapezoid_area(found: npt.ArrayLike, false: npt.ArrayLike, num_truth: npt.ArrayLike) -> Floats:
    """The area under the straight lines between the points of the curve, which begins at precision 1, recall 0.

    There is no envelope (Kalogeiton et al., "Action Tubelet Detector", ICCV 2017, in their evaluation). Arguments and
    result as in `envelope_area`.
    """
    found = np.asarray(found, dtype=np.float64)
    hits, falses = np.cumsum(found, axis=-1), np.cumsum(false, axis=-1)
    earlier = hits - found
    after = hits / np.maximum(hits + falses, 1.0)
    before = np.where(earlier + falses > 0, earlier / np.maximum(earlier + falses, 1.0), 1.0)
    return _share((found * (before + after)).sum(axis=-1) / 2, num_truth)


def _share(part: Floats, whole: npt.ArrayLike) -> Floats:
    whole = np.broadcast_to(np.asarray(whole, dtype=np.float64), part.shape)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
