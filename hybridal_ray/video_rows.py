"""The videos of a split as rows of the pool's table: eight bytes a video beside it, where objects take six hundred."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video

ROWS_AT_ONCE = 1024
COLUMNS = ["video_id", "uri", "split", "group", "num_frames", "width", "height"]


class VideoRows(Sequence[Video]):
    """Videos that are made when they are asked for, and not held.

    Args:
        table: Columns of `VIDEOS_SCHEMA`, one row a video. It is not copied.
        root: Of the pool; relative locations of videos are taken from there.
        places: (V,), rows of the table, in the order of the videos; None is all of them, as they come.
    """

    def __init__(self, table: pa.Table, root: str, places: npt.NDArray[np.int64] | None = None) -> None:
        self._table = table.select(COLUMNS)
        self._root = root
        self._places = np.arange(len(table)) if places is None else places

    @classmethod
    def usable(cls, videos: pa.Table, split: str, root: str) -> "VideoRows":
        """The videos of a split that decode, ordered by video id: those of `Pool.usable_videos`."""
        of_split = pc.and_(pc.equal(videos["split"], split), pc.equal(videos["status"], "ok"))
        places = np.flatnonzero(pc.and_(of_split, pc.greater(videos["num_frames"], 0)).to_numpy())
        by_id = pc.sort_indices(videos["video_id"].take(places))
        return cls(videos, root, places[by_id.to_numpy()])

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[Video]:
        for rows in self._rows(COLUMNS):
            yield from map(self._video, rows.to_pylist())

    def keys(self) -> Iterator[tuple[str, int]]:
        """Video id and number of frames of each, without the making of a `Video`."""
        for rows in self._rows(["video_id", "num_frames"]):
            yield from zip(rows["video_id"].to_pylist(), rows["num_frames"].to_pylist(), strict=True)

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        return self._video(self._table.slice(int(self._places[index]), 1).to_pylist()[0])

    def _rows(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        narrow = self._table.select(columns)
        for start in range(0, len(self), ROWS_AT_ONCE):
            yield narrow.take(self._places[start : start + ROWS_AT_ONCE])

    def _video(self, row: dict[str, Any]) -> Video:
        return Video(**{**row, "uri": storage.resolve_uri(row["uri"], self._root)})
