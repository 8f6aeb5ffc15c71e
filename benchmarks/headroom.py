"""How much could a choice of videos win at all? Label sets that cheat, for `configs/compare_headroom.yaml`.

``PYTHONPATH=benchmarks hybridal compare configs/compare_headroom.yaml root=ROOT``

A strategy of the package never sees a label; ``balanced`` does. If even it does not beat random videos, no strategy can
on that pool. ``same`` buys the same random frames for every seed of the run, so that its spread is that of training.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video, load_pool
from hybridal_ray.selection.purchase import PickedVideo, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest

How = Literal["balanced", "few_sources", "same"]
_LAST = 10**9  # for videos in which nobody acts


class Cheating:
    """A strategy for the first batch: random frames of videos that are chosen unfairly.

    Args:
        how: ``balanced`` takes of the sources with the fewest videos so far that whose rarest class has been bought
            least, by the true classes; ``few_sources`` takes whole sources, as few as possible; ``same`` takes random
            ones, the same for every seed.
        pool: Path of the pool, whose tubes ``balanced`` reads.

    Raises:
        UserError: `how` is unknown.
    """

    needs_scores = False
    needs_videos = True

    def __init__(self, how: How, pool: str | None = None) -> None:
        if how not in get_args(How):
            raise UserError(f"selection.start_options.how: found {how!r}, expected one of {', '.join(get_args(How))}")
        if (how == "balanced") != (pool is not None):
            raise UserError(
                f"selection.start_options.pool: found {pool!r}, expected a path for balanced and for no other"
            )
        self.how = how
        self.pool = pool

    def select(self, request: SelectionRequest) -> Selection:
        """Random frames of the chosen videos."""
        rng = np.random.default_rng(0 if self.how == "same" else request.seed)
        shuffled = [request.videos[place] for place in rng.permutation(len(request.videos))]
        if self.pool is not None:
            chosen = _balanced(shuffled, _classes(os.path.expanduser(self.pool)), request.num_videos)
        elif self.how == "few_sources":
            chosen = _few_sources(shuffled, request.num_videos)
        else:
            chosen = shuffled[: request.num_videos]
        picked = [PickedVideo(video.video_id, _frames(video, request.frames_per_video, rng)) for video in chosen]
        return Selection(purchase(picked, request.max_frames))


def _classes(pool: str) -> dict[str, set[int]]:
    """The true classes of the actors of each video."""
    classes: dict[str, set[int]] = defaultdict(set)
    for row in load_pool(pool).tubes.select(["video_id", "class_id"]).to_pylist():
        classes[row["video_id"]].add(row["class_id"])
    return classes


def _balanced(videos: list[Video], classes: Mapping[str, set[int]], count: int) -> list[Video]:
    left, chosen = list(videos), list[Video]()
    of_source, of_class = Counter[str](), Counter[int]()
    while left and len(chosen) < count:
        video = min(
            left,
            key=lambda v: (of_source[v.group], min((of_class[c] for c in classes.get(v.video_id, ())), default=_LAST)),
        )
        left.remove(video)
        chosen.append(video)
        of_source[video.group] += 1
        of_class.update(classes.get(video.video_id, ()))
    return chosen


def _few_sources(videos: list[Video], count: int) -> list[Video]:
    order = list(dict.fromkeys(video.group for video in videos))
    return sorted(videos, key=lambda video: order.index(video.group))[:count]


def _frames(video: Video, count: int, rng: np.random.Generator) -> list[int]:
    return sorted(rng.permutation(video.num_frames)[:count].tolist())
