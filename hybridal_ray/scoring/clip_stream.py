"""Clips out of a stream of frames, holding no more of a video than a few clips need."""

from collections import deque
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from hybridal_ray.detectors.clips import FrameIndices
from hybridal_ray.pool.decoding import beyond_end

Frame = npt.NDArray[np.uint8]


class ClipStream:
    """Cuts clips out of a stream, and lets a frame go as soon as no later clip needs it.

    Nothing is taken from the stream before a clip is asked for: a video of which no clip is wanted is not opened.

    Args:
        frames: From frame 0 on, each (H, W, 3).
        clips: (clips, T), frame indices.
        uri: Named in the error.
    """

    def __init__(self, frames: Iterable[Frame], clips: FrameIndices, uri: str) -> None:
        self._source = iter(frames)
        self._clips = clips
        self._uri = uri
        # The first frame that clip i or any later clip needs.
        self._needed_from = np.minimum.accumulate(clips.min(axis=1)[::-1])[::-1]
        self._held: deque[Frame] = deque()
        self._held_from = 0

    def pixels(self, batch: slice) -> npt.NDArray[np.uint8]:
        """The pixels of some clips.

        Args:
            batch: Rows of `clips`, behind those asked for before; rows in between may be left out.

        Returns:
            (N, T, H, W, 3), uint8.

        Raises:
            UnreadableVideo: The stream ends before a frame that a clip needs.
        """
        needed = self._needed_from[batch.start]
        while self._held and self._held_from < needed:
            self._held.popleft()
            self._held_from += 1
        while self._held_from + len(self._held) <= self._clips[batch].max():
            frame = next(self._source, None)
            if frame is None:
                raise beyond_end(self._uri, int(self._clips.max()), self._held_from + len(self._held))
            if self._held_from < needed:  # of clips that were left out; nothing is held then
                self._held_from += 1
            else:
                self._held.append(frame)
        return np.stack([[self._held[index - self._held_from] for index in clip] for clip in self._clips[batch]])
