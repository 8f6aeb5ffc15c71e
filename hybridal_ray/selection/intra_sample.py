"""Intra-sample only: a few frames of every video."""

import numpy as np

from hybridal_ray.selection.budgets import proportional_shares
from hybridal_ray.selection.combined import FrameView
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import read_pool, rows_by_id
from hybridal_ray.selection.purchase import PickedVideo, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest, frame_budget


class IntraSample:
    """Gives every video of the pool the same number of frames; no video is chosen over another.

    The paper's intra-sample-only selection (Rana and Rawat, CVPR 2023; method §5). The budget is one of frames,
    `frame_budget`; where it is no multiple of the videos, or smaller than they are, random videos get one more. Cost:
    that of the frame rule, a scoring pass for ``scored``; O(V).

    Args:
        frames: Frame rule, by name or dotted path.

    Raises:
        UserError: There is no such rule.
    """

    measure: str | None = None
    budget_in_frames = True

    def __init__(self, frames: str = "scored") -> None:
        self.frames = frame_rule(frames)
        self.needs_scores = bool(self.frames.columns)
        self.needs_videos = self.frames.needs_videos or not self.needs_scores

    def select(self, request: SelectionRequest) -> Selection:
        """Picks the first frames of all videos; a video that has too few leaves its share to the others.

        Raises:
            UserError: The scores cannot be read.
            ValueError: The request lacks scores that are needed.
        """
        budget, view = frame_budget(request), FrameView(self.frames, request)
        columns = self.frames.columns
        pool = read_pool(request, (), columns, needs_scores=self.needs_scores, has_frames=view.any_in)
        places = np.random.default_rng(request.seed).permutation(np.flatnonzero(pool.on_offer))
        video_ids = [pool.table["video_id"][int(place)].as_py() for place in places]
        rows = rows_by_id(request.scores, video_ids, ["video_score", *columns]) if request.scores is not None else {}
        most = [view.picked(video_id, rows.get(video_id, {}), max(budget, 1)) for video_id in video_ids]
        # Equal sizes: what is left over when all have the same goes to the first, which are random ones.
        shares = proportional_shares(budget, [1] * len(most), [len(video.frames) for video in most])
        return Selection(purchase([_cut(video, share) for video, share in zip(most, shares, strict=True)], budget))


def _cut(video: PickedVideo, count: int) -> PickedVideo:
    return PickedVideo(
        video.video_id,
        video.frames[:count],
        video.uncertainties[:count],
        video.penalties[:count],
        video.video_score,
    )
