"""The best-scored videos of a stream, with bounded memory."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

ORDER = [("video_score", "descending"), ("video_id", "ascending")]
FEWEST_WAITING = 4096  # rows: fewer are not worth a sort


class BestVideos:
    """Keeps the best rows of all that were offered: by descending ``video_score``, ties by ascending video id.

    At most `most` rows and a buffer of as many (or of `FEWEST_WAITING`) are held. What was offered, not in which
    order, decides which are kept.

    Args:
        most: Rows to keep, 0 or more.

    Attributes:
        offered: Rows seen so far.
    """

    def __init__(self, most: int) -> None:
        self.offered = 0
        self._most = most
        self._kept: list[pa.Table] = []
        self._held = 0
        self._least: float | None = None  # score of the worst row kept, once there are as many as wanted

    def offer(self, rows: pa.Table) -> None:
        """Takes rows with the columns ``video_id`` and ``video_score`` (no nulls, no NaN) and any others."""
        self.offered += len(rows)
        if self._least is not None:
            rows = rows.filter(pc.greater_equal(rows["video_score"], self._least))
        if self._most == 0 or len(rows) == 0:
            return
        self._kept.append(rows)
        self._held += len(rows)
        if self._held >= self._most + max(self._most, FEWEST_WAITING):
            self._drop_surplus()

    def best(self, count: int) -> list[dict[str, Any]]:
        """The `count` best rows, the best first (fewer where fewer were offered), `count` being at most `most`."""
        self._drop_surplus()
        return self._kept[0].slice(0, count).to_pylist() if self._kept else []

    def _drop_surplus(self) -> None:
        if not self._kept:
            return
        rows = pa.concat_tables(self._kept)
        # Only the keys are sorted, so that the lists beside them are moved once.
        wanted = pc.sort_indices(rows.select(["video_score", "video_id"]), ORDER)[: self._most]
        rows = rows.take(wanted).combine_chunks()
        self._kept, self._held = [rows], len(rows)
        if len(rows) == self._most:
            self._least = rows["video_score"][-1].as_py()
