"""Ranking videos so that no predicted class is bought more than others."""

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def balanced_order(ranked: Sequence[int], classes: npt.NDArray[np.integer], held: npt.NDArray[np.integer]) -> list[int]:
    """Takes the next video, again and again, from the class that has the fewest so far.

    Args:
        ranked: Videos, the best first; indices into `classes`.
        classes: (V,), class of each video of the pool, 0 … C − 1.
        held: (C,), videos that each class has already.

    Returns:
        The same videos; inside a class in the same order. Ties go to the class whose next video ranks higher.
    """
    waiting: dict[int, list[tuple[int, int]]] = {}
    for rank, video in enumerate(ranked):
        waiting.setdefault(int(classes[video]), []).append((rank, video))
    heap = [(int(held[class_id]), videos[0][0], class_id, 0) for class_id, videos in waiting.items()]
    heapq.heapify(heap)
    order = []
    while heap:
        count, _, class_id, index = heapq.heappop(heap)
        videos = waiting[class_id]
        order.append(videos[index][1])
        if index + 1 < len(videos):
            heapq.heappush(heap, (count + 1, videos[index + 1][0], class_id, index + 1))
    return order
