"""Ranking videos so that no kind of them, a predicted class or a source, is bought more than others."""

import heapq
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def balanced_order(ranked: Sequence[int], kinds: npt.NDArray[np.integer], held: npt.NDArray[np.integer]) -> list[int]:
    """Takes the next video, again and again, from the kind that has the fewest so far.

    Args:
        ranked: Videos, the best first; indices into `kinds`.
        kinds: (V,), kind of each video of the pool, 0 … C − 1.
        held: (C,), videos that each kind has already.

    Returns:
        The same videos; inside a kind in the same order. Ties go to the kind whose next video ranks higher.
    """
    waiting: dict[int, list[tuple[int, int]]] = {}
    for rank, video in enumerate(ranked):
        waiting.setdefault(int(kinds[video]), []).append((rank, video))
    heap = [(int(held[kind]), videos[0][0], kind, 0) for kind, videos in waiting.items()]
    heapq.heapify(heap)
    order = []
    while heap:
        count, _, kind, index = heapq.heappop(heap)
        videos = waiting[kind]
        order.append(videos[index][1])
        if index + 1 < len(videos):
            heapq.heappush(heap, (count + 1, videos[index + 1][0], kind, index + 1))
    return order
