"""Decoding: frames of a video by their index in decode order, as RGB arrays, rotated as the container asks.

Every function decodes linearly from the first frame. Header frame counts, timestamps and key frames lie in real
files (J-HMDB's are 3 to 8 frames too high), so frames are counted by decoding and nothing ever seeks. Decoding a
frame is cheap beside converting it to RGB; only the frames asked for are converted and scaled.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import Interpolation, VideoReformatter

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

Frames = npt.NDArray[np.uint8]
Size = int | tuple[int, int] | None
FrameIndices = Sequence[int] | npt.NDArray[np.integer]

# swscale widens this filter by the factor of reduction, so shrinking does not alias. It is the same for every
# way of reading, so that a detector sees the same pixels in training and in scoring.
INTERPOLATION = Interpolation.BILINEAR

# Read ahead in an object store: one request for each of these, instead of one for each of FFmpeg's 32 KiB.
REMOTE_BUFFER_BYTES = 1 << 20


class UnreadableVideo(Exception):
    """A video, or the frames asked of it, cannot be decoded; the round goes on without it.

    Attributes:
        uri: Where the video lies.
        reason: Why, in a few words, without the uri.
    """

    def __init__(self, uri: str, reason: str) -> None:
        super().__init__(uri, reason)  # both in `args`: exceptions are pickled by them
        self.uri = uri
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.uri}: {self.reason}"


@dataclass(frozen=True)
class VideoFacts:
    """What a video is, counted by decoding all of it.

    Attributes:
        num_frames: Frames that decode, at least 1.
        fps: Average frame rate that the container states; 0.0 where it states none.
        width: Pixels of the decoded frame, after rotation.
        height: Pixels of the decoded frame, after rotation.
    """

    num_frames: int
    fps: float
    width: int
    height: int


def read_video(uri: str, size: Size = None) -> Frames:
    """Decodes a whole video; of a file that breaks off, what decodes before the break.

    Args:
        uri: Local path or URI.
        size: (H, W) in pixels to scale to, or one number for a square; None keeps the video's own size.

    Returns:
        (num_frames, H, W, 3), uint8 RGB, in decode order.

    Raises:
        UnreadableVideo: Not one frame can be decoded.
    """
    return np.stack(list(iter_frames(uri, size)))


def iter_frames(uri: str, size: Size = None) -> Iterator[Frames]:
    """Decodes a video frame by frame, holding one at a time; arguments and errors as in `read_video`.

    Yields:
        (H, W, 3), uint8 RGB.
    """
    with _opened(uri) as stream:
        to_rgb = _RgbConverter(size)
        for frame in _decoded(stream, uri):
            yield to_rgb(frame)


def read_frames(uri: str, frames: FrameIndices, size: Size = None) -> Frames:
    """Decodes a video as far as the last frame asked for, and converts only those asked for.

    Args:
        uri: Local path or URI.
        frames: Indices in decode order, in any order, repeats allowed.
        size: As in `read_video`.

    Returns:
        (len(frames), H, W, 3), uint8 RGB, in the order asked; equal to ``read_video(uri, size)[frames]``.

    Raises:
        UnreadableVideo: The video holds, or breaks off, before a frame asked for; the reason tells how many decode.
        ValueError: An index is negative.
    """
    wanted = np.asarray(frames, dtype=np.int64)
    if (wanted < 0).any():
        raise ValueError(f"frames are indices from 0, got {wanted.min()}")
    distinct, places = np.unique(wanted, return_inverse=True)
    pending = set(distinct.tolist()) or {0}  # of an empty request, only H and W are wanted
    last = max(pending)
    converted: list[Frames] = []
    num_decoded = 0
    with _opened(uri) as stream:
        to_rgb = _RgbConverter(size)
        for index, frame in enumerate(_decoded(stream, uri)):
            num_decoded = index + 1
            if index in pending:
                converted.append(to_rgb(frame))
            if index == last:
                break
    if num_decoded <= last:
        raise beyond_end(uri, last, num_decoded)
    return np.stack(converted)[places]


def probe(uri: str) -> VideoFacts:
    """Decodes a video once, converting nothing, to learn what it is; errors as in `read_video`."""
    with _opened(uri) as stream:
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        num_frames, width, height = 0, 0, 0
        for frame in _decoded(stream, uri):
            if num_frames == 0:
                width, height = _upright_size(frame)
            num_frames += 1
    return VideoFacts(num_frames, fps, width, height)


def beyond_end(uri: str, frame: int, num_frames: int) -> UnreadableVideo:
    """The error of a video that has no such frame."""
    return UnreadableVideo(uri, f"frame {frame} was asked for, but only {num_frames} frames can be decoded")


class _RgbConverter:
    """Scales, converts and rotates frames; one swscale context for all frames of a video."""

    def __init__(self, size: Size) -> None:
        self._size = (size, size) if isinstance(size, int) else size
        self._swscale = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Frames:
        if self._size is None:  # the first frame's size holds for all, should the stream change it on the way
            width, height = _upright_size(frame)
            self._size = (height, width)
        turns = _quarter_turns(frame)
        height, width = self._size if turns % 2 == 0 else self._size[::-1]
        scaled = self._swscale.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=INTERPOLATION, threads=1
        )
        return np.rot90(scaled.to_ndarray(), turns)


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that the display matrix of the container asks for."""
    return round(frame.rotation / 90)


def _upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height in pixels after rotation."""
    return (frame.width, frame.height) if _quarter_turns(frame) % 2 == 0 else (frame.height, frame.width)


@contextmanager
def _opened(uri: str) -> Iterator[av.VideoStream]:
    """Opens the main video stream of a file, decoding on one thread, and closes the file at the end."""
    try:
        container = _open_container(uri)
    except FileNotFoundError as error:
        raise UnreadableVideo(uri, "no such file") from error
    except (av.FFmpegError, OSError, UserError) as error:
        raise UnreadableVideo(uri, f"cannot be opened: {_reason(error)}") from error
    with container:
        stream = container.streams.best("video")
        if stream is None:
            raise UnreadableVideo(uri, "holds no video stream")
        stream.codec_context.thread_count = 1  # actors and workers run side by side, one a core
        yield stream


def _open_container(uri: str) -> av.container.InputContainer:
    if not storage.is_uri(uri):
        # The protocol is named, lest FFmpeg take a colon or a pattern in the path for something else.
        return av.open("file:" + os.path.abspath(uri))
    system, path = storage.filesystem(uri)
    return av.open(system.open_input_file(path), buffer_size=REMOTE_BUFFER_BYTES)


def _decoded(stream: av.VideoStream, uri: str) -> Iterator[av.VideoFrame]:
    """The frames of a stream up to its end, or to the first packet that does not decode."""
    num_frames = 0
    reason = "holds no frame"
    try:
        for frame in stream.container.decode(stream):
            num_frames += 1
            yield frame
    except av.FFmpegError as error:
        reason = _reason(error)
    except OSError as error:  # the object store failed, not the video: a prefix would differ from try to try
        raise UnreadableVideo(uri, f"cannot be read: {error}") from error
    if num_frames == 0:
        raise UnreadableVideo(uri, f"no frame can be decoded: {reason}")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
