"""The labels that are to be bought: picked already, or as many as the budget says."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from hybridal_ray.oracles.cost import CostModel
from hybridal_ray.pool import ledger
from hybridal_ray.pool.ledger import labelled_rows
from hybridal_ray.pool.round_tables import SELECTION_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.run_budget import ASSUMED_BOXES, RunBudget, boxes_per_frame, expected_seconds
from hybridal_ray.selection.budgets import even_shares, split_new_and_revisited
from hybridal_ray.selection.request import Selection

ASSUMPTION = f"nothing is labelled yet, so {ASSUMED_BOXES:g} box on a frame is assumed"


@dataclass(frozen=True)
class Purchase:
    """Labels to buy, and what they are expected to cost.

    Attributes:
        frames: To be labelled.
        videos: In which they are.
        new_videos: Of them, those in which nothing is labelled yet.
        boxes: Expected on them.
        annotator_seconds: Expected labour.
        picked: Whether the frames are picked already, so that their number is certain.
    """

    frames: int
    videos: int
    new_videos: int
    boxes: float
    annotator_seconds: float
    picked: bool


def priced(picks: pa.Table, labels: pa.Table, cost: CostModel, *, picked: bool) -> Purchase:
    """What picks (`SELECTION_SCHEMA`) are expected to cost, with as many boxes a frame as the labels have so far."""
    ids, boxes = picks["video_id"].to_pylist(), boxes_per_frame(labels)
    seconds = float(expected_seconds(ids, boxes, cost).sum())
    new_videos = set(ids) - set(labelled_rows(labels)["video_id"].to_pylist())
    return Purchase(len(ids), len(set(ids)), len(new_videos), boxes * len(ids), seconds, picked)


def unanswered(picks: pa.Table, labels: pa.Table) -> pa.Table:
    """The picks (`SELECTION_SCHEMA`) that no label (`LABELS_SCHEMA`) answers yet."""
    known = ledger.answered_frames(labels)
    places = zip(picks["video_id"].to_pylist(), picks["frame"].to_pylist(), strict=True)
    return picks.filter(pa.array([frame not in known.get(video_id, ()) for video_id, frame in places], pa.bool_()))


@dataclass(frozen=True)
class Plan:
    """What a purchase is to be, before it is picked.

    Attributes:
        videos: To buy from.
        frames_per_video: To buy in each.
        most_frames: Bound of this purchase alone.
        revisit_fraction: Part of the videos that are to be labelled already.
        in_frames: Whether the frames may lie in any number of videos.
    """

    videos: int
    frames_per_video: int
    most_frames: int | None = None
    revisit_fraction: float = 0.0
    in_frames: bool = False


def planned(plan: Plan, videos: Sequence[Video], budget: RunBudget, labels: pa.Table, cost: CostModel) -> Purchase:
    """A purchase that is not picked yet, cut to the budget as it will be.

    Which videos it will be is not known: videos spread evenly over the pool stand for them. Their number of frames
    is exact unless some videos have fewer frames left than are wanted of one. Where the frames may lie in any number of
    videos, each is taken to lie in one of its own, as far as there are as many: that costs the most.

    Args:
        plan: The purchase.
        videos: That can be bought from.
        budget: Of the run.
        labels: All labels of the run so far (`LABELS_SCHEMA`).
        cost: Of an annotator's work.
    """
    answered, labelled = ledger.answered_frames(labels), set(labelled_rows(labels)["video_id"].to_pylist())
    left = {video.video_id: video.num_frames - len(answered.get(video.video_id, ())) for video in videos}
    new = [video_id for video_id, frames in left.items() if frames > 0 and video_id not in labelled]
    revisited = [video_id for video_id, frames in left.items() if frames > 0 and video_id in labelled]
    bounds = [bound for bound in (plan.most_frames, budget.frames_left(labels)) if bound is not None]
    if plan.in_frames:
        ids = [*new, *revisited]
        most = min([plan.videos * plan.frames_per_video, *bounds])
        shares = even_shares(most, [0] * len(ids), [left[video_id] for video_id in ids])
        frames = [video_id for video_id, share in zip(ids, shares, strict=True) for _ in range(share)]
    else:
        counts = split_new_and_revisited(
            plan.videos, plan.revisit_fraction, new_available=len(new), revisits_available=len(revisited)
        )
        chosen = [*_spread(new, counts[0]), *_spread(revisited, counts[1])]
        frames = [video_id for video_id in chosen for _ in range(min(left[video_id], plan.frames_per_video))]
    picks = picks_in(frames[: min(bounds, default=None)])
    return priced(budget.cut(Selection(picks), labels, cost)[0].picks, labels, cost, picked=False)


def after(budget: RunBudget, purchase: Purchase) -> RunBudget:
    """What a purchase leaves of a budget."""
    return replace(
        budget,
        max_frames=None if budget.max_frames is None else budget.max_frames - purchase.frames,
        max_videos=None if budget.max_videos is None else budget.max_videos - purchase.new_videos,
        max_seconds=None if budget.max_seconds is None else budget.max_seconds - purchase.annotator_seconds,
    )


def _spread(video_ids: Sequence[str], count: int) -> list[str]:
    return [video_ids[int(place)] for place in np.linspace(0, len(video_ids) - 1, count).round()]


def picks_in(video_ids: Sequence[str]) -> pa.Table:
    """A purchase of frames in these videos, in this order; which frames they are does not matter."""
    numbers = pa.array(np.arange(len(video_ids)), pa.int32())
    given = {"video_id": pa.array(video_ids, pa.string()), "frame": numbers, "rank": numbers}
    columns = [given.get(field.name, pa.nulls(len(video_ids), field.type)) for field in SELECTION_SCHEMA]
    return pa.Table.from_arrays(columns, schema=SELECTION_SCHEMA)
