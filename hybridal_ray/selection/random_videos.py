"""Random videos, for any choice of frames in them."""

from collections.abc import Sequence

import numpy as np

from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot


class RandomVideos:
    """Draws videos uniformly at random without replacement. Cost: none; no scoring pass."""

    needs_scores = False
    columns: Sequence[str] = ()

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`."""
        rng = np.random.default_rng(request.seed)
        return [Lot(rng.permutation(places)[:count].tolist()) for places, count in pool.kinds(request)]


def equidistant() -> Combined:
    """Strategy ``equidistant``: random videos, frames at equal distances in each.

    The baseline of sparse annotation in Rana and Rawat, NeurIPS 2022. Cost: none; no scoring pass.
    """
    return Combined(RandomVideos(), frame_rule("equidistant"))
