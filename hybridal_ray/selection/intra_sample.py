"""Intra-sample only: a few frames of every video."""

import numpy as np

from hybridal_ray.selection.budgets import even_shares
from hybridal_ray.selection.combined import FrameView
from hybridal_ray.selection.frame_rules import frame_rule
from hybridal_ray.selection.pool_rows import read_pool, rows_by_id
from hybridal_ray.selection.purchase import purchase
from hybridal_ray.selection.request import Selection, SelectionRequest, frame_budget


class IntraSample:
    """Gives every video of the pool the same number of frames; no video is chosen over another.

    The paper's intra-sample-only selection (Rana and Rawat, CVPR 2023; method §5). The budget is one of frames,
    `frame_budget`; each goes to a video of which the fewest are labelled, a random one of those, so that all come to
    have the same number over the rounds. Cost: that of the frame rule, a scoring pass for ``scored``; O(V log V).

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
        """Picks the first frames of all videos; what a video cannot take goes to the others.

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
        wanted = [(video_id, rows.get(video_id, {})) for video_id in video_ids]
        capacities = [len(view.picked(video_id, row, max(budget, 1)).frames) for video_id, row in wanted]
        held = [len(request.labelled.get(video_id, ())) for video_id in video_ids]
        shares = even_shares(budget, held, capacities)
        # Asked anew, since a rule may choose other frames where fewer are wanted.
        picked = [view.picked(*video, share) for video, share in zip(wanted, shares, strict=True) if share]
        return Selection(purchase(picked, budget))
