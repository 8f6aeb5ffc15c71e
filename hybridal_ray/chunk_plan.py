"""The plan of a pass: which videos are processed together, in what order, and which of them are still to do.

The plan is a function of the videos alone, so a pass that was cut off finds in its directory what it need not do
again. It holds eight bytes a video beside the videos; chunks are made when their turn comes.
"""

import hashlib
import itertools
import json
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Video
from hybridal_ray.storage_patience import patiently
from hybridal_ray.video_rows import VideoRows

PLAN_FILE = "pass.json"
FEWEST_PER_CHUNK = 8  # where the size is left to the plan
FRAMES_OF_LIMIT = 1000  # a longer video has the time of so many more


@dataclass(frozen=True)
class Chunk:
    """Videos that are processed and written together.

    Attributes:
        name: Of its part file, without the ending.
        videos: In the order of their rows.
    """

    name: str
    videos: tuple[Video, ...]

    def single_names(self) -> list[str]:
        """Of the parts of its videos, were each in a chunk of its own."""
        return _single_names(self.name, len(self.videos))

    def singles(self) -> list["Chunk"]:
        """The same videos, each in a chunk of its own, for when one of them takes its process down."""
        return [Chunk(name, (video,)) for name, video in zip(self.single_names(), self.videos, strict=True)]

    @property
    def frames(self) -> int:
        """Of all its videos."""
        return sum(video.num_frames for video in self.videos)


@dataclass(frozen=True)
class ChunkPlan:
    """All chunks of a pass, each made when it is asked for.

    Attributes:
        videos: Ordered by id.
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
            yield Chunk(self._name(index), tuple(self.videos[int(place)] for place in places))

    def missing(self, present: Set[str]) -> list[str]:
        """Names of the chunks whose parts are not all `present`, whole or video by video; makes no video."""
        last = len(self.order) - (len(self) - 1) * self.size
        sizes = {self._name(index): self.size if index < len(self) - 1 else last for index in range(len(self))}
        return [
            name for name, size in sizes.items() if name not in present and not present >= {*_single_names(name, size)}
        ]

    def _name(self, index: int) -> str:
        digits = max(5, len(str(len(self) - 1)))  # the order of their names is the order of the parts
        return f"part-{index:0{digits}d}"


def _single_names(name: str, videos: int) -> list[str]:
    return [f"{name}-{index:04d}" for index in range(videos)]


def seconds_allowed(videos: Iterable[Video], seconds_per_video: float) -> float:
    """The time that videos may take one after the other, in which a long one counts as several.

    Args:
        videos: With their numbers of frames.
        seconds_per_video: For each 1,000 frames of a video; a shorter one has as much.
    """
    return sum(seconds_per_video * max(1.0, video.num_frames / FRAMES_OF_LIMIT) for video in videos)


def chunk_size(videos: int) -> int:
    """Videos in a chunk where the size is left to the plan: size and number of the parts grow with the pool's root.

    Up to 6,400 videos it is 8, so that little is lost with an actor and all have work; a million make 10,000 parts of
    100, a hundred million make 100,000 of 1,000, for many small files take long to list and to read.
    """
    return max(FEWEST_PER_CHUNK, math.ceil(math.sqrt(videos) / 10))


def plan_chunks(videos: Sequence[Video], directory: str, videos_per_chunk: int | Literal["auto"]) -> ChunkPlan:
    """Divides the videos into chunks, long videos first, so that no long one is left for the end.

    The first call notes in the directory what it divided; a later one keeps to that size of chunk, so that the
    parts that are there stay valid.

    Args:
        videos: Each id once. Where they come ordered by id they are not held, but asked for again.
        directory: Where the parts go.
        videos_per_chunk: At least 1; ``auto`` is that of `chunk_size`.

    Raises:
        UserError: The directory holds a pass over other videos.
        ValueError: A video id appears twice.
    """
    if not all(one[0] < other[0] for one, other in itertools.pairwise(_keys(videos))):
        videos = sorted(videos, key=lambda video: video.video_id)
    lengths, digest = _read_keys(videos)
    plan: dict[str, Any] = {
        "videos": len(videos),
        "videos_digest": digest,
        "videos_per_chunk": chunk_size(len(videos)) if videos_per_chunk == "auto" else videos_per_chunk,
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
    order = np.argsort(-lengths, kind="stable")  # ties stay in the order of their ids
    return ChunkPlan(videos, order, plan["videos_per_chunk"], int(lengths.sum(dtype=np.int64)))


def pieces(chunk: Chunk, present: Set[str]) -> list[tuple[Chunk, bool]]:
    """What became of a chunk: itself, or its videos singly where an earlier attempt had split it.

    Args:
        chunk: Of the plan.
        present: Names of the parts that are there.

    Returns:
        Pieces that hold each of its videos once, and whether the part of each is there.
    """
    if chunk.name in present:
        return [(chunk, True)]
    split = not present.isdisjoint(chunk.single_names())
    return [(piece, piece.name in present) for piece in (chunk.singles() if split else [chunk])]


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


def _keys(videos: Sequence[Video]) -> Iterator[tuple[str, int]]:
    """What the plan is made of: id and number of frames of each video."""
    return videos.keys() if isinstance(videos, VideoRows) else ((each.video_id, each.num_frames) for each in videos)


def _read_keys(videos: Sequence[Video]) -> tuple[npt.NDArray[np.int32], str]:
    """The frames of each of the videos, (V,), and a digest of the keys of all, which come ordered by id."""
    lengths = np.empty(len(videos), np.int32)
    digest = hashlib.blake2b(digest_size=8)
    before: str | None = None
    for place, key in enumerate(_keys(videos)):
        if key[0] == before:
            raise ValueError(f"video id {before!r} appears twice in the videos of a pass")
        before, lengths[place] = key
        digest.update(json.dumps(key).encode())
    return lengths, digest.hexdigest()
