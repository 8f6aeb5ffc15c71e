"""How many videos each cluster, and each kind of video, is given of a round's budget."""

import heapq
import math
from collections.abc import Sequence
from fractions import Fraction


def proportional_shares(budget: int, sizes: Sequence[int], capacities: Sequence[int]) -> list[int]:
    """Shares a budget out in proportion to size, giving none more than it can take (method §4).

    The exact quotas come first: every cluster gets ``rate × size``, but its capacity at most, with the one rate
    at which the quotas add up to the budget. So what a full cluster leaves over goes to the others in proportion
    to their size. The quotas are then rounded by largest remainder, ties to the lower cluster id. A quota cut by
    its capacity is whole already, so rounding never exceeds a capacity. All arithmetic is exact.

    Args:
        budget: Videos to share out, 0 or more.
        sizes: (K,), size of each cluster in the pool. A cluster of size 0 gets nothing.
        capacities: (K,), videos of each cluster that can still be bought.

    Returns:
        (K,), whole shares whose sum is the lesser of the budget and the capacities' sum, each less than 1 from
        its exact quota. Of two clusters, the larger one never gets less unless its capacity says so.
    """
    quotas = _exact_quotas(budget, sizes, capacities)
    shares = [math.floor(quota) for quota in quotas]
    left_over = int(sum(quotas)) - sum(shares)
    by_remainder = sorted(range(len(quotas)), key=lambda cluster: shares[cluster] - quotas[cluster])
    for cluster in by_remainder[:left_over]:
        shares[cluster] += 1
    return shares


def even_shares(budget: int, held: Sequence[int], capacities: Sequence[int]) -> list[int]:
    """Shares a budget out so that all come to hold the same number, as far as they can.

    Args:
        budget: Frames to share out, 0 or more.
        held: (V,), frames that each video has already.
        capacities: (V,), frames that each can still take.

    Returns:
        (V,), whole shares whose sum is the lesser of the budget and the capacities' sum: each frame goes to a video
        that holds the fewest by then, of those to the first.
    """
    shares = [0] * len(held)
    poorest = [(count, index) for index, count in enumerate(held) if capacities[index]]
    heapq.heapify(poorest)
    for _ in range(min(budget, sum(capacities))):
        count, index = heapq.heappop(poorest)
        shares[index] += 1
        if shares[index] < capacities[index]:
            heapq.heappush(poorest, (count + 1, index))
    return shares


def split_new_and_revisited(
    num_videos: int, revisit_fraction: float, *, new_available: int, revisits_available: int
) -> tuple[int, int]:
    """Divides a round's videos into new ones and ones that are labelled already (method §5).

    Args:
        num_videos: Videos to buy from.
        revisit_fraction: Part that is to be labelled already, in [0, 1]; rounded to whole videos, half up.
        new_available: Videos without any label.
        revisits_available: Labelled videos that have frames left to buy.

    Returns:
        New videos and revisited ones. Where one kind runs out, the other takes its place.
    """
    revisits = min(math.floor(num_videos * revisit_fraction + 0.5), revisits_available)
    new = min(num_videos - revisits, new_available)
    return new, min(num_videos - new, revisits_available)


def _exact_quotas(budget: int, sizes: Sequence[int], capacities: Sequence[int]) -> list[Fraction]:
    """``min(capacity, rate × size)`` for the rate at which they add up to the budget, or to all there is."""
    quotas = [Fraction(0)] * len(sizes)
    # The cluster that fills up at the lowest rate comes first: once one is not filled, none behind it is.
    filling = sorted(
        (cluster for cluster, size in enumerate(sizes) if size > 0),
        key=lambda cluster: Fraction(capacities[cluster], sizes[cluster]),
    )
    money, size_left = Fraction(budget), sum(sizes[cluster] for cluster in filling)
    for cluster in filling:
        quotas[cluster] = min(Fraction(capacities[cluster]), money * sizes[cluster] / size_left)
        money -= quotas[cluster]
        size_left -= sizes[cluster]
    return quotas
