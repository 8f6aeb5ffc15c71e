"""The order of videos by V_score, over all predicted classes alike where that is asked for."""

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from hybridal_ray.selection.balancing import balanced_order
from hybridal_ray.selection.latents import list_matrix
from hybridal_ray.selection.pool_rows import Places, PoolRows

UNSCORED = -1


def by_score(pool: PoolRows, places: Places, balance_classes: bool) -> list[int]:
    """Some videos of a pool, the most uncertain first, ties to the lower video id.

    Args:
        pool: With the columns ``video_score`` and, to balance classes, ``class_scores``.
        places: Rows of the pool that have both.
        balance_classes: Whether to take turns between predicted classes, see `balanced_order`; labelled videos count,
            by what is predicted of them.
    """
    ranked = places[np.lexsort((places, -pool.video_scores()[places]))].tolist()
    if not balance_classes:
        return ranked
    classes = predicted_classes(pool)
    held = classes[pool.labelled & (classes != UNSCORED)]
    return balanced_order(ranked, classes, np.bincount(held, minlength=int(classes.max(initial=0)) + 1))


def predicted_classes(pool: PoolRows) -> npt.NDArray[np.int64]:
    """(V,), the most probable class of each video, ties to the lower; −1 where none was predicted."""
    classes = np.full(len(pool.table), UNSCORED)
    scored = pc.is_valid(pool.table["class_scores"])
    rows = pool.table.select(["video_id", "class_scores"]).filter(scored)
    if len(rows):
        classes[scored.to_numpy()] = list_matrix(rows, "class_scores").argmax(axis=1)
    return classes
