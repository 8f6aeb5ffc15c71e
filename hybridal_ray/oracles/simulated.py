"""An annotator who knows the ground truth, for experiments."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cost import CostModel
from hybridal_ray.pool.ledger import BOX_TYPE, LABELS_SCHEMA


class SimulatedAnnotator:
    """Reveals the ground truth of exactly the frames that were selected, at a modelled cost.

    Args:
        tubes: Table of `TUBES_SCHEMA`, the ground truth of the pool.
        cost: Seconds that a person would have taken.
        looked_at: Table of `LABELLED_FRAMES_SCHEMA`, the frames that the truth knows; None where it knows them all.
    """

    def __init__(self, tubes: pa.Table, cost: CostModel, looked_at: pa.Table | None = None) -> None:
        self._tubes = tubes
        self._cost = cost
        self._looked_at = looked_at

    def label(self, selection: pa.Table, round_index: int) -> pa.Table:
        """Labels the selected frames in the order of purchase; see `Oracle.label`.

        A frame outside every tube comes back with no boxes. The actors of a frame are ordered by tube id.

        Raises:
            UserError: Nobody looked at a frame that is asked for, so that its truth is not known.
        """
        asked = selection.sort_by("rank").select(["video_id", "frame"])
        self._refuse_unseen(asked)
        boxes = self._boxes_on(asked)
        boxes_per_frame = np.bincount(boxes["purchase"].to_numpy(), minlength=len(asked))
        actors = pa.StructArray.from_arrays(
            [boxes[field.name].combine_chunks() for field in BOX_TYPE], fields=list(BOX_TYPE)
        )
        ends = np.concatenate([[0], np.cumsum(boxes_per_frame)]).astype(np.int32)
        columns = {
            "video_id": asked["video_id"],
            "frame": asked["frame"],
            "round": pa.repeat(pa.scalar(round_index, pa.int32()), len(asked)),
            "source": pa.repeat("simulated", len(asked)),
            "seconds": self._cost.seconds(_opens_video(asked), boxes_per_frame),
            "boxes": pa.ListArray.from_arrays(pa.array(ends), actors),
        }
        unknown = {field.name: pa.nulls(len(asked), field.type) for field in LABELS_SCHEMA if field.name not in columns}
        return pa.table({**columns, **unknown}).cast(LABELS_SCHEMA)

    def _refuse_unseen(self, asked: pa.Table) -> None:
        if self._looked_at is None:
            return
        unseen = asked.join(self._looked_at, ["video_id", "frame"], join_type="left anti")
        if len(unseen):
            first = unseen.sort_by([("video_id", "ascending"), ("frame", "ascending")]).to_pylist()[0]
            raise UserError(
                f"oracle.name: simulated: {len(unseen)} of the {len(asked)} frames picked were never labelled in this "
                f"pool (labelled_frames.parquet), the first is frame {first['frame']} of {first['video_id']}; expected "
                "a pool that is labelled on every frame"
            )

    def _boxes_on(self, asked: pa.Table) -> pa.Table:
        """The tubes' rows on the asked frames, with the place of the frame among them as ``purchase``."""
        wanted = asked.append_column("purchase", pa.array(np.arange(len(asked))))
        # Tubes hold a row for every box of the pool: cut them down to the few videos before the join.
        in_videos = pc.is_in(self._tubes["video_id"], wanted["video_id"].combine_chunks())
        boxes = self._tubes.filter(in_videos).join(wanted, ["video_id", "frame"], join_type="inner")
        return boxes.sort_by([("purchase", "ascending"), ("tube_id", "ascending")])


def _opens_video(asked: pa.Table) -> np.ndarray:
    """(N,) bool, whether a frame is the first of its video."""
    ids = asked["video_id"].combine_chunks().dictionary_encode().indices.to_numpy()
    opens = np.zeros(len(ids), dtype=bool)
    opens[np.unique(ids, return_index=True)[1]] = True
    return opens
