"""The videos of a split as rows of a table: a hundred bytes a video, where a list of objects takes six hundred."""

from collections.abc import Iterator, Sequence
from typing import Any, overload

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video

ROWS_AT_ONCE = 1024


class VideoRows(Sequence[Video]):
    """Videos that are made when they are asked for, and not held.

    Args:
        table: Columns of `VIDEOS_SCHEMA`, one row a video, in this order. A memory-mapped table stays on disk.
        root: Of the pool; relative locations of videos are taken from there.
    """

    def __init__(self, table: pa.Table, root: str) -> None:
        self._table = table.select(["video_id", "uri", "split", "group", "num_frames", "width", "height"])
        self._root = root

    @classmethod
    def usable(cls, videos: pa.Table, split: str, root: str) -> "VideoRows":
        """The videos of a split that decode, ordered by video id: those of `Pool.usable_videos`."""
        decodes = (pc.field("split") == split) & (pc.field("status") == "ok") & (pc.field("num_frames") > 0)
        return cls(videos.filter(decodes).sort_by("video_id"), root)

    def __len__(self) -> int:
        return len(self._table)

    def __iter__(self) -> Iterator[Video]:
        for batch in self._table.to_batches(max_chunksize=ROWS_AT_ONCE):
            yield from map(self._video, batch.to_pylist())

    @overload
    def __getitem__(self, index: int) -> Video: ...
    @overload
    def __getitem__(self, index: slice) -> list[Video]: ...
    def __getitem__(self, index: int | slice) -> Video | list[Video]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]  # an IndexError where there is none
        return self._video(self._table.slice(place, 1).to_pylist()[0])

    def _video(self, row: dict[str, Any]) -> Video:
        return Video(**{**row, "uri": storage.resolve_uri(row["uri"], self._root)})
