"""Videos of all sources alike: CLAUS where the clusters are known beforehand."""

from collections.abc import Sequence

import numpy as np

from hybridal_ray.selection.balancing import balanced_order
from hybridal_ray.selection.cluster_videos import Inside
from hybridal_ray.selection.combined import Combined
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import Places, PoolRows
from hybridal_ray.selection.request import SelectionRequest
from hybridal_ray.selection.rules import Lot
from hybridal_ray.selection.score_order import by_score


class SourceVideos:
    """The next video is always of a source of which the fewest are labelled or chosen, the most uncertain of those.

    Clips of one source (one camera, one film) resemble each other, and a pool's tables tell which they are, so what
    deep clustering is to find need not be guessed. Unlike the shares of `ClusterVideos`, those of large sources are
    no larger, and what earlier rounds bought counts. Cost: that of `UncertainVideos`, or none and no scoring pass for
    ``inside: random``; O(V log V).

    Args:
        inside: Who is taken in a source, and which of the sources with the fewest comes first: ``uncertainty`` or
            ``random``.
    """

    needs_videos = True

    def __init__(self, inside: Inside = "uncertainty") -> None:
        self.inside = inside
        self.needs_scores = inside == "uncertainty"
        self.columns: Sequence[str] = ("video_score",) if self.needs_scores else ()

    def choose(self, pool: PoolRows, request: SelectionRequest) -> list[Lot]:
        """See `VideoRule`."""
        number_of = _source_numbers(request)
        sources = np.array([number_of[video_id] for video_id in pool.table["video_id"].to_pylist()], dtype=np.int64)
        rng = np.random.default_rng(request.seed)
        # Of all videos: where a part of the pool was scored, most labelled ones are not in it.
        labelled = [number_of[video.video_id] for video in request.videos if request.labelled.get(video.video_id)]
        held = np.bincount(labelled, minlength=max(number_of.values(), default=0) + 1)
        lots = []
        for places, count in pool.kinds(request):
            ranked = by_score(pool, places, balance_classes=False) if self.needs_scores else _shuffled(places, rng)
            lots.append(Lot(balanced_order(ranked, sources, held)[:count]))
        return lots


def sources(inside: Inside = "uncertainty", frames: str = "scored") -> Combined:
    """Strategy ``sources``: the most uncertain videos, as many of each source.

    Stratified sampling (Neyman, *On the Two Different Aspects of the Representative Method*, JRSS 1934) with the
    uncertainty of Rana and Rawat, CVPR 2023, inside. Cost: as `SourceVideos`.
    """
    return Combined(SourceVideos(inside), frame_rule(frames))


def _source_numbers(request: SelectionRequest) -> dict[str, int]:
    """By video id, the number of its source among those of the pool in the order of their names."""
    groups = sorted({video.group for video in request.videos})
    number_of = {group: number for number, group in enumerate(groups)}
    return {video.video_id: number_of[video.group] for video in request.videos}


def _shuffled(places: Places, rng: np.random.Generator) -> list[int]:
    return [int(place) for place in rng.permutation(places)]
