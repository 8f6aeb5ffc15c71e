"""The plan of a pass: which videos are processed together, in what order, and which of them are still to do.

The plan is a function of the videos alone, so a pass that was cut off finds in its directory what it need not do
again. It holds eight bytes a video beside the videos; chunks are made when their turn comes.
"""

import hashlib
import itertools
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video
from hybridal_ray.storage_patience import patiently

PLAN_FILE = "pass.json"
VIDEOS_AT_ONCE = 8192  # while the videos are put in order


@dataclass(frozen=True)
class Chunk:
    """Videos that are processed and written together.

    Attributes:
        name: Of its part file, without the ending.
        videos: In the order of their rows.
    """

    name: str
    videos: tuple[Video, ...]

    def singles(self) -> list["Chunk"]:
        """The same videos, each in a chunk of its own, for when one of them takes its process down."""
        return [Chunk(f"{self.name}-{index:04d}", (video,)) for index, video in enumerate(self.videos)]

    @property
    def frames(self) -> int:
        """Of all its videos."""
        return sum(video.num_frames for video in self.videos)


@dataclass(frozen=True)
class ChunkPlan:
    """All chunks of a pass, each made when it is asked for.

    Attributes:
        videos: In any order.
        order: (V,), places in `videos`, the longest video first.
        size: Videos in a chunk, but for the last.
        frames: Of all videos.
    """

    videos: Sequence[Video]
    order: npt.NDArray[np.int64]
    size: int
    frames: int

    def __len__(self) -> int:
        return -(-len(self.order) // self.size)

    def __iter__(self) -> Iterator[Chunk]:
        for index in range(len(self)):
            places = self.order[index * self.size : (index + 1) * self.size]
            yield Chunk(f"part-{index:05d}", tuple(self.videos[int(place)] for place in places))


def plan_chunks(videos: Sequence[Video], directory: str, videos_per_chunk: int) -> ChunkPlan:
    """Divides the videos into chunks, long videos first, so that no long one is left for the end.

    The first call notes in the directory what it divided; a later one keeps to that size of chunk, so that the
    parts that are there stay valid.

    Args:
        videos: Each id once.
        directory: Where the parts go.
        videos_per_chunk: At least 1.

    Raises:
        UserError: The directory holds a pass over other videos.
        ValueError: A video id appears twice.
    """
    keys = _keys(videos)
    if _any_twice(keys["video_id"]):
        raise ValueError("a video id appears twice in the videos of a pass")
    order = pc.sort_indices(keys, sort_keys=[("num_frames", "descending"), ("video_id", "ascending")])
    plan: dict[str, Any] = {
        "videos": len(keys),
        "videos_digest": _digest(keys["video_id"], order),
        "videos_per_chunk": videos_per_chunk,
    }
    location = storage.join(directory, PLAN_FILE)
    if patiently(lambda: storage.exists(location)):
        begun = patiently(lambda: storage.read_json(location))
        if begun["videos_digest"] != plan["videos_digest"]:
            raise UserError(
                f"{directory}: holds the parts of a pass over {begun['videos']} other videos, expected these "
                f"{plan['videos']} or an empty directory; remove it to begin anew"
            )
        plan = begun
    else:
        patiently(lambda: storage.write_json(location, plan))
    places = order.to_numpy().astype(np.int64)
    return ChunkPlan(videos, places, plan["videos_per_chunk"], pc.sum(keys["num_frames"]).as_py() or 0)


def pieces(chunk: Chunk, present: Collection[str]) -> list[tuple[Chunk, bool]]:
    """What became of a chunk: itself, or its videos singly where an earlier attempt had split it.

    Args:
        chunk: Of the plan.
        present: Names of the parts that are there.

    Returns:
        Pieces that hold each of its videos once, and whether the part of each is there.
    """
    if chunk.name in present:
        return [(chunk, True)]
    singles = chunk.singles()
    split = any(single.name in present for single in singles)
    return [(piece, piece.name in present) for piece in (singles if split else [chunk])]


class ToDo:
    """Chunks in the order in which they are to be done, drawn from the plan as they are needed.

    Args:
        chunks: What is to do.
    """

    def __init__(self, chunks: Iterable[Chunk]) -> None:
        self._drawn: deque[Chunk] = deque()
        self._to_come = iter(chunks)
        self._last: deque[Chunk] = deque()

    def at_hand(self, most: int) -> int:
        """How many chunks are left, counted no further than `most`."""
        while len(self._drawn) < most and (chunk := next(self._to_come, None)) is not None:
            self._drawn.append(chunk)
        return min(len(self._drawn) + len(self._last), most)

    def take(self) -> Chunk | None:
        """The next chunk, None when nothing is left."""
        if self.at_hand(1) == 0:
            return None
        return (self._drawn or self._last).popleft()

    def put_first(self, chunks: Sequence[Chunk]) -> None:
        """Gives chunks back that are to be done next, in this order."""
        self._drawn.extendleft(reversed(chunks))

    def put_last(self, chunks: Sequence[Chunk]) -> None:
        """Gives chunks back that are to be done when all others are."""
        self._last.extend(chunks)


def _keys(videos: Sequence[Video]) -> pa.Table:
    """What the order is decided by: ids and numbers of frames, in columns."""
    schema = pa.schema([("video_id", pa.string()), ("num_frames", pa.int64())])
    batches, left = [], iter(videos)
    while some := list(itertools.islice(left, VIDEOS_AT_ONCE)):
        columns = [[video.video_id for video in some], [video.num_frames for video in some]]
        batches.append(pa.record_batch(columns, schema=schema))
    return pa.Table.from_batches(batches, schema=schema).combine_chunks()


def _any_twice(video_ids: pa.ChunkedArray) -> bool:
    """Whether an id is there twice, by sorting, which takes less memory than a table of hashes."""
    order = pc.sort_indices(video_ids)
    batches = (video_ids.take(order.slice(start, VIDEOS_AT_ONCE + 1)) for start in range(0, len(order), VIDEOS_AT_ONCE))
    return any(pc.any(pc.equal(batch[:-1], batch[1:])).as_py() for batch in batches)


def _digest(video_ids: pa.ChunkedArray, order: pa.Array) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for start in range(0, len(order), VIDEOS_AT_ONCE):
        for video_id in video_ids.take(order.slice(start, VIDEOS_AT_ONCE)).to_pylist():
            digest.update(json.dumps(video_id).encode())
    return digest.hexdigest()
