"""Decoded videos kept in memory at the detector's size: training reads each of them many times over."""

import threading
from concurrent.futures import Future

import numpy as np

from hybridal_ray.pool.decoding import FrameIndices, Frames, beyond_end, iter_frames, read_frames
from hybridal_ray.pool.frame_index import IndexStore


class FrameCache:
    """Videos decoded once, and kept as long as there is room; clips of those that came later are read by themselves.

    None gives way to another: an epoch goes through all videos, so that what was used longest ago is needed next.

    Safe to use from several threads: of those that ask for the same video at once, one decodes and the others
    wait; different videos are decoded side by side.

    Args:
        max_bytes: Room for decoded videos, ``3 * size**2`` bytes a frame; videos that are just being decoded
            come on top. With 0 nothing is kept.
        size: S, height and width in pixels to which frames are scaled.
        pool_root: Where the indices of videos that found no room are kept, so that a clip of one of them does not
            decode it from its beginning; None keeps them in memory, one decoding of each such video away.
    """

    def __init__(self, max_bytes: int, size: int, pool_root: str | None = None) -> None:
        self.max_bytes = max_bytes
        self.size = size
        self._lock = threading.Lock()
        self._videos: dict[str, Future[tuple[Frames, ...] | None]] = {}
        self._bytes_kept = 0
        self._indices = IndexStore(pool_root)

    def clip(self, uri: str, frames: FrameIndices, keep: bool = True) -> Frames:
        """Frames of a video.

        Args:
            uri: Local path or URI.
            frames: Indices in decode order, in any order, repeats allowed, at least one.
            keep: Whether the video may take room; not worth it where hardly a second clip of it will be asked for.

        Returns:
            (len(frames), S, S, 3), uint8 RGB, the caller's own; equal to ``read_frames(uri, frames, size)``.

        Raises:
            UnreadableVideo: The video, or a frame asked for, cannot be decoded.
        """
        video = self._video(uri) if keep else None
        if video is None:
            return read_frames(uri, frames, self.size, self._indices.of(uri))
        if max(frames) >= len(video):
            raise beyond_end(uri, max(frames), len(video))
        return np.stack([video[frame] for frame in frames])

    def _video(self, uri: str) -> tuple[Frames, ...] | None:
        """The frames of a video, each (S, S, 3); None for a video that found no room when it was first asked for."""
        with self._lock:
            entry = self._videos.get(uri)
            mine = entry is None
            if entry is None:
                entry = self._videos[uri] = Future()
        if mine:
            self._fill(uri, entry)
        return entry.result()

    def _fill(self, uri: str, entry: Future[tuple[Frames, ...] | None]) -> None:
        """Decodes a video into its entry, if it fits."""
        try:
            video = self._decode(uri)
        except BaseException as error:
            with self._lock:
                del self._videos[uri]
            entry.set_exception(error)  # for the threads that wait, and for this one
            return
        with self._lock:
            taken = sum(frame.nbytes for frame in video or ())
            if taken <= self._room():  # others may have filled it meanwhile
                self._bytes_kept += taken
            else:
                video = None
        entry.set_result(video)

    def _room(self) -> int:
        return self.max_bytes - self._bytes_kept

    def _decode(self, uri: str) -> tuple[Frames, ...] | None:
        """All frames of a video, or None as soon as they are found to exceed the room there is."""
        video: list[Frames] = []
        room = self._room()
        if room < 3 * self.size**2:
            return None
        for frame in iter_frames(uri, self.size):
            room -= frame.nbytes
            if room < 0:
                return None
            video.append(np.ascontiguousarray(frame))
        return tuple(video)
