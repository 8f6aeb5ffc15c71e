"""What the budget of a run leaves of a purchase."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.oracles.cost import CostModel, spent_seconds
from hybridal_ray.pool.ledger import labelled_rows
from hybridal_ray.requests.second_opinions import asked_twice
from hybridal_ray.selection.request import Selection
from hybridal_ray.stopping.criterion import Unit
from hybridal_ray.stopping.purchase_bounds import opens_video, within_seconds, within_videos

ASSUMED_BOXES = 1.0  # on a frame, as long as nothing is labelled


@dataclass(frozen=True)
class RunBudget:
    """The bounds of all purchases of a run together; None bounds nothing.

    Frames of which an annotator could not tell are no labels and count for nothing but their seconds.

    Attributes:
        max_frames: Labelled frames.
        max_videos: Videos with a labelled frame.
        max_seconds: Seconds of labour: those known of what is labelled, and those expected of what is to be, and of
            answers that do not tell.
    """

    max_frames: int | None
    max_videos: int | None
    max_seconds: float | None

    def frames_left(self, labels: pa.Table) -> int | None:
        """Frames that can still be bought, None where that has no bound."""
        return None if self.max_frames is None else max(self.max_frames - len(labelled_rows(labels)), 0)

    def cut(self, selection: Selection, labels: pa.Table, cost: CostModel) -> tuple[Selection, Unit | None]:
        """Cuts a purchase to the budget.

        Args:
            selection: What was picked.
            labels: All labels of the run (`LABELS_SCHEMA`).
            cost: What labels are expected to cost.

        Returns:
            What can be bought, and the budget that set the end to it, None where none did.
        """
        left = self.frames_left(labels)
        picks = selection.picks[:left]
        bounded_by: Unit | None = "frames" if len(picks) == left else None
        if self.max_videos is not None:
            kept = within_videos(picks, set(labelled_rows(labels)["video_id"].to_pylist()), self.max_videos)
            picks, bounded_by = kept, "videos" if len(kept) < len(picks) else bounded_by
        if self.max_seconds is not None:
            seconds = expected_seconds(picks["video_id"].to_pylist(), boxes_per_frame(labels), cost)
            kept = within_seconds(picks, seconds, self.max_seconds - spent_seconds(labels, cost))
            picks, bounded_by = kept, "seconds" if len(kept) < len(picks) else bounded_by
        return Selection(picks), bounded_by


def boxes_per_frame(labels: pa.Table) -> float:
    """Mean boxes on the frames labelled so far; `ASSUMED_BOXES` while there are none."""
    boxes = labelled_rows(labels)["boxes"]
    return pc.mean(pc.list_value_length(boxes)).as_py() if len(boxes) else ASSUMED_BOXES


def expected_seconds(video_ids: Sequence[str], boxes: float, cost: CostModel) -> npt.NDArray[np.float64]:
    """Seconds of labour of each frame of a purchase, second opinions included.

    Args:
        video_ids: (N,), the video of each frame, in the order of purchase.
        boxes: Expected on a frame.
        cost: The model of an annotator, and how many frames two of them answer; the second opens the videos too.

    Returns:
        (N,), seconds.
    """
    seconds = cost.seconds(opens_video(video_ids), np.full(len(video_ids), boxes))
    twice = np.flatnonzero(asked_twice(len(video_ids), cost.overlap)).tolist()
    seconds[twice] += cost.seconds(opens_video([video_ids[place] for place in twice]), np.full(len(twice), boxes))
    return seconds
