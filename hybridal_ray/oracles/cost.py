"""What labels cost: the modelled seconds of one frame, and the labour that a table of labels holds."""

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool.ledger import OWN_LABELS, labelled_rows


@dataclass(frozen=True)
class CostModel:
    """Seconds of an annotator's time (method §5).

    Attributes:
        seconds_per_video: To open a video and see what happens in it, once a purchase.
        seconds_per_frame: To look at a frame, whether or not anybody acts there.
        seconds_per_box: To draw one actor's box or mask and name the action.
        overlap: Share of the frames of a purchase that a second annotator answers too.

    Raises:
        ValueError: A cost is negative or not a number.
    """

    seconds_per_video: float
    seconds_per_frame: float
    seconds_per_box: float
    overlap: float = 0.0

    def __post_init__(self) -> None:
        for name, seconds in asdict(self).items():
            if not seconds >= 0:
                raise ValueError(f"{name}: found {seconds}, expected 0 or more")

    def seconds(self, opens_video: npt.NDArray[np.bool_], boxes: npt.NDArray[np.integer]) -> npt.NDArray[np.float64]:
        """The seconds of each of N frames.

        Args:
            opens_video: (N,), whether the frame is the first of its video in the purchase.
            boxes: (N,), actors on the frame.

        Returns:
            (N,), seconds.
        """
        return self.seconds_per_frame + self.seconds_per_box * boxes + self.seconds_per_video * opens_video


@dataclass(frozen=True)
class LabourSummary:
    """What labels hold and what they cost.

    Attributes:
        frames: Labelled frames, each counted once; not those that cannot be told.
        negative_frames: Those of them on which nobody acts.
        boxes: Actors on all frames.
        videos: Videos with at least one labelled frame.
        seconds: Labour as far as it is known, superseded labels included: they took time too.
    """

    frames: int
    negative_frames: int
    boxes: int
    videos: int
    seconds: float


def labour(labels: pa.Table) -> LabourSummary:
    """Adds up a purchase, or a whole ledger.

    Args:
        labels: Table of `LABELS_SCHEMA`. Where a frame is there twice, its last row says what is on it.
    """
    known = labelled_rows(labels)
    boxes = pc.list_value_length(known["boxes"])
    return LabourSummary(
        frames=len(boxes),
        negative_frames=pc.sum(pc.equal(boxes, 0), min_count=0).as_py(),
        boxes=pc.sum(boxes, min_count=0).as_py(),
        videos=pc.count_distinct(known["video_id"]).as_py(),
        seconds=pc.sum(labels["seconds"], min_count=0).as_py(),
    )


def spent_seconds(labels: pa.Table, cost: CostModel) -> float:
    """The labour of a ledger, with what is expected of answers that do not tell how long they took.

    An annotator opens a video with the first answer to it in a request. Superseded labels took time too; labels that
    the pool brought along took none of this run's.

    Args:
        labels: Table of `LABELS_SCHEMA`.
        cost: What labels are expected to cost.
    """
    work = labels.filter(pc.not_equal(labels["source"], OWN_LABELS))
    visits = zip(*(work[name].to_pylist() for name in ("annotator", "request", "video_id")), strict=True)
    first: dict[tuple[str | None, ...], int] = {}
    opens = np.array([first.setdefault(visit, at) == at for at, visit in enumerate(visits)], dtype=bool)
    boxes = pc.list_value_length(work["boxes"]).to_numpy()
    untold = pc.is_null(work["seconds"]).to_numpy()
    expected = cost.seconds(opens[untold], boxes[untold]).sum()
    return float(pc.sum(work["seconds"], min_count=0).as_py() + expected)


def labour_facts(labels: pa.Table) -> dict[str, float]:
    """`labour` as a stage tells it, whose ``seconds`` are its own duration: here they are ``labour_seconds``."""
    facts = asdict(labour(labels))
    return {"labour_seconds": facts.pop("seconds"), **facts}
