"""A strategy of two choices: which videos, and which frames of each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from hybridal_ray.selection.pool_rows import PoolRows, read_pool, rows_by_id
from hybridal_ray.selection.purchase import PickedVideo, interleave, purchase
from hybridal_ray.selection.request import Selection, SelectionRequest, frame_budget
from hybridal_ray.selection.rules import FrameRule, Lot, OpenVideo, VideoRule, reads_videos


class Combined:
    """Buys from the videos of a video rule the frames of a frame rule.

    The scores stream by twice: once for what the video rule reads of all videos, once for what the frame rule reads of
    those that were chosen.

    Args:
        videos: Which videos.
        frames: Which frames of each.
        measure: Uncertainty that scoring shall measure, None for that of the configuration.
    """

    def __init__(self, videos: VideoRule, frames: FrameRule, measure: str | None = None) -> None:
        self.videos = videos
        self.frames = frames
        self.measure = measure
        self.needs_scores = videos.needs_scores or bool(frames.columns)
        self.needs_videos = frames.needs_videos or reads_videos(videos) or not self.needs_scores
        self.budget_in_frames = frames.whole_videos

    def select(self, request: SelectionRequest) -> Selection:
        """Picks the videos, then the frames; lots of videos are bought in turns.

        Raises:
            UserError: A score is not a number, or see the video rule.
            ValueError: The request lacks scores that are needed.
        """
        asked = _in_frames(request) if self.budget_in_frames else request
        view = FrameView(self.frames, request)
        pool = read_pool(
            request, self.videos.columns, self.frames.columns, needs_scores=self.needs_scores, has_frames=view.any_in
        )
        lots = sorted(self.videos.choose(pool, asked), key=_cluster)
        chosen = interleave([[(place, lot.cluster) for place in lot.places] for lot in lots])
        picked = self._pick(pool, chosen, asked, view)
        return Selection(purchase(picked, asked.max_frames))

    def _pick(
        self, pool: PoolRows, chosen: Sequence[tuple[int, int | None]], request: SelectionRequest, view: "FrameView"
    ) -> list[PickedVideo]:
        """The frames of the chosen videos, which are rows of the pool and their clusters."""
        video_ids = [pool.table["video_id"][int(place)].as_py() for place, _ in chosen]
        rows: Mapping[str, Mapping[str, Any]] = {}
        if self.needs_scores and request.scores is not None:
            rows = rows_by_id(request.scores, video_ids, ["video_score", *self.frames.columns])
        picked, frames = [], 0
        for video_id, (_, cluster) in zip(video_ids, chosen, strict=True):
            if self.budget_in_frames and frames >= frame_budget(request):
                break  # as many videos are chosen as the budget has frames, and few of them fit
            picked.append(view.picked(video_id, rows.get(video_id, {}), request.frames_per_video, cluster))
            frames += len(picked[-1].frames)
        return picked


class FrameView:
    """A frame rule with what it may know of each video of a request.

    Args:
        rule: The rule.
        request: Of it, the videos, their answered frames and the seed.

    Attributes:
        columns: Of `SCORES_SCHEMA`, those that the rule reads.
    """

    def __init__(self, rule: FrameRule, request: SelectionRequest) -> None:
        self.columns = rule.columns
        self._rule = rule
        self._request = request
        self._lengths = {video.video_id: video.num_frames for video in request.videos} if rule.needs_videos else {}

    def picked(self, video_id: str, row: Mapping[str, Any], count: int, cluster: int | None = None) -> PickedVideo:
        """At most `count` frames of a video, of which `row` holds the scores that the rule reads."""
        video = OpenVideo(video_id, self._lengths.get(video_id, 0), self._request.taken_in(video_id), row)
        found = self._rule.choose(video, count, self._request.seed)
        return PickedVideo(
            video_id, found.frames, found.uncertainties, found.penalties, row.get("video_score"), cluster
        )

    def any_in(self, video_id: str, row: Mapping[str, Any]) -> bool:
        """Whether the rule finds a frame to buy."""
        return bool(self.picked(video_id, row, 1).frames)


def _in_frames(request: SelectionRequest) -> SelectionRequest:
    """The same request with the budget in frames alone; each whole video takes one of them at least."""
    budget = frame_budget(request)
    return dataclasses.replace(request, num_videos=budget, frames_per_video=max(budget, 1), max_frames=budget)


def _cluster(lot: Lot) -> int:
    return -1 if lot.cluster is None else lot.cluster
