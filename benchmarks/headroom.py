"""How much could a choice of videos win at all? Choices that cheat, for `configs/compare_headroom.yaml`.

``PYTHONPATH=benchmarks hybridal compare configs/compare_headroom.yaml root=ROOT``

A strategy of the package never sees a label; two of these do. If even they do not beat random videos, none can on that
pool. All take random frames of the videos they choose.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video, load_tubes
from hybridal_ray.selection.purchase import PickedVideo, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest

How = Literal["balanced", "few_sources", "mistaken"]
_LAST = 10**9  # for videos in which nobody acts


class Cheating:
    """A strategy whose videos are chosen unfairly.

    Args:
        how: ``balanced`` takes the next video from the sources that have the fewest so far, of the class that has been
            bought least; ``mistaken`` takes those to whose true class the detector gives the least probability;
            ``few_sources`` takes whole sources, as few as possible.
        pool: Path of the pool, whose tubes the first two read.

    Raises:
        UserError: `how` is unknown, or the pool is missing or too much.
    """

    needs_videos = True

    def __init__(self, how: How, pool: str | None = None) -> None:
        if how not in get_args(How):
            raise UserError(f"selection.options.how: found {how!r}, expected one of {', '.join(get_args(How))}")
        if (how == "few_sources") != (pool is None):
            raise UserError(f"selection.options.pool: found {pool!r}, expected a path for all but few_sources")
        self.how = how
        self.needs_scores = how == "mistaken"
        self._classes = {} if pool is None else _true_classes(os.path.expanduser(pool))

    def select(self, request: SelectionRequest) -> Selection:
        """Random frames of the chosen videos."""
        rng = np.random.default_rng(request.seed)
        shuffled = [request.videos[place] for place in rng.permutation(len(request.videos))]
        new = [video for video in shuffled if not request.labelled.get(video.video_id)]
        if self.how == "balanced":
            chosen = self._balanced(new, [video for video in shuffled if request.labelled.get(video.video_id)], request)
        elif self.how == "mistaken":
            right = self._right(request)
            chosen = sorted(new, key=lambda video: right.get(video.video_id, 1.0))[: request.num_videos]
        else:
            order = list(dict.fromkeys(video.group for video in new))
            chosen = sorted(new, key=lambda video: order.index(video.group))[: request.num_videos]
        picked = [PickedVideo(video.video_id, _frames(video, request.frames_per_video, rng)) for video in chosen]
        return Selection(purchase(picked, request.max_frames))

    def _balanced(self, new: Sequence[Video], bought: Sequence[Video], request: SelectionRequest) -> list[Video]:
        left, chosen = list(new), list[Video]()
        of_source = Counter(video.group for video in bought)
        of_class = Counter(c for video in bought for c in self._classes.get(video.video_id, ()))
        while left and len(chosen) < request.num_videos:
            video = min(left, key=lambda v: (of_source[v.group], self._rarest(v, of_class)))
            left.remove(video)
            chosen.append(video)
            of_source[video.group] += 1
            of_class.update(self._classes.get(video.video_id, ()))
        return chosen

    def _rarest(self, video: Video, of_class: Mapping[int, int]) -> int:
        return min((of_class[class_id] for class_id in self._classes.get(video.video_id, ())), default=_LAST)

    def _right(self, request: SelectionRequest) -> dict[str, float]:
        """The least probability that the detector gives to a class that is there, by video."""
        assert request.scores is not None
        right: dict[str, float] = {}
        for batch in request.scores.batches(["video_id", "class_scores"], 4096):
            for row in batch.to_pylist():
                true = self._classes.get(row["video_id"])
                if true and row["class_scores"] is not None:
                    right[row["video_id"]] = min(row["class_scores"][class_id] for class_id in true)
        return right


def _true_classes(pool: str) -> dict[str, set[int]]:
    """The classes of the actors of each video."""
    classes: dict[str, set[int]] = defaultdict(set)
    for row in load_tubes(pool, ["video_id", "class_id"]).to_pylist():
        classes[row["video_id"]].add(row["class_id"])
    return classes


def _frames(video: Video, count: int, rng: np.random.Generator) -> list[int]:
    return sorted(rng.permutation(video.num_frames)[:count].tolist())
