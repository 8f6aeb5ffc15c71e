"""Random videos and random frames: the start of a run, and the baseline that a strategy has to beat."""

import numpy as np

from hybridal_ray.pool.tables import Video
from hybridal_ray.selection.budgets import split_new_and_revisited
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest


class Random:
    """Videos, and frames within each, uniformly at random without replacement.

    With at least as many videos and frames as there are it buys the whole pool: full supervision. Cost: none; no
    scoring pass, O(V).
    """

    needs_scores = False
    needs_videos = True

    def select(self, request: SelectionRequest) -> Selection:
        """Draws new videos and revisited ones, each with frames that can be bought."""
        rng = np.random.default_rng(request.seed)
        by_id = sorted(request.videos, key=lambda video: video.video_id)
        on_offer = [video for video in by_id if not request.taken_in(video.video_id) or _free(video, request).size]
        new = [video for video in on_offer if not request.labelled.get(video.video_id)]
        revisits = [video for video in on_offer if request.labelled.get(video.video_id)]
        budgets = split_new_and_revisited(
            request.num_videos,
            request.revisit_fraction,
            new_available=len(new),
            revisits_available=len(revisits),
        )
        strata = [
            [_draw_frames(videos[index], request, rng) for index in rng.permutation(len(videos))[:budget]]
            for videos, budget in zip((new, revisits), budgets, strict=True)
        ]
        return Selection(purchase(interleave(strata), request.max_frames))


def _free(video: Video, request: SelectionRequest) -> np.ndarray:
    """The frames of a video that can be bought, ascending."""
    return np.setdiff1d(np.arange(video.num_frames), np.asarray(request.taken_in(video.video_id), dtype=np.int64))


def _draw_frames(video: Video, request: SelectionRequest, rng: np.random.Generator) -> PickedVideo:
    drawn = rng.permutation(_free(video, request))[: request.frames_per_video]
    return PickedVideo(video.video_id, frames=drawn.tolist())
