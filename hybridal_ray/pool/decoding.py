"""Decoding: frames of a video by their index in decode order, as RGB arrays, shown as the container asks.

Header frame counts, timestamps and key frames lie in real files (J-HMDB's counts are 3 to 8 frames too high), so
frames are counted by decoding, from the first frame or from a place where a `FrameIndex` has proved by trial that
decoding may begin. Decoding a frame is cheap beside converting it to RGB; only the frames asked for are converted and
scaled. Every way of reading gives the same pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import Type as SideData
from av.video.reformatter import Interpolation, VideoReformatter

from hybridal_ray.pool.containers import ImageFolder, UnreadableVideo, VideoStream, opened

Frames = npt.NDArray[np.uint8]
Size = int | tuple[int, int] | None
FrameIndices = Sequence[int] | npt.NDArray[np.integer]

# swscale widens this filter by the factor of reduction, so shrinking does not alias. It is the same for every
# way of reading, so that a detector sees the same pixels in training and in scoring.
INTERPOLATION = Interpolation.BILINEAR

TIMING_TOLERANCE = 0.02  # of the median interval between frames; containers round their timestamps


@dataclass(frozen=True)
class VideoFacts:
    """What a video is, counted by decoding all of it.

    Attributes:
        num_frames: Frames that decode, at least 1.
        fps: Average frame rate that the container states; 0.0 where it states none.
        width: Pixels of the decoded frame, after rotation.
        height: Pixels of the decoded frame, after rotation.
        variable_rate: Whether frames are not all equally long on screen, so that `fps` does not tell when each is.
    """

    num_frames: int
    fps: float
    width: int
    height: int
    variable_rate: bool = False


@dataclass(frozen=True)
class SeekPoint:
    """A frame that decoding may begin with.

    Attributes:
        frame: Its index in decode order.
        seek_to: Where to send the demuxer, in units of the stream's time base.
        stamp: What marks the frame when it comes out of the decoder, in the same units.
    """

    frame: int
    seek_to: int
    stamp: int


@dataclass(frozen=True)
class FrameIndex:
    """Where the decoding of a video may begin, proved by trial (`hybridal_ray.pool.frame_index` makes it).

    Attributes:
        facts: What the video is.
        points: In the order of their frames, without frame 0.
    """

    facts: VideoFacts
    points: tuple[SeekPoint, ...]

    def point_before(self, frame: int) -> SeekPoint | None:
        """The last point at or before a frame."""
        return next((point for point in reversed(self.points) if point.frame <= frame), None)


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
    with opened(uri) as source:
        to_rgb = RgbConverter(size)
        for frame in source.frames():
            yield to_rgb(frame)


def read_frames(uri: str, frames: FrameIndices, size: Size = None, index: FrameIndex | None = None) -> Frames:
    """Decodes a video as far as the last frame asked for, and converts only those asked for.

    Args:
        uri: Local path or URI.
        frames: Indices in decode order, in any order, repeats allowed.
        size: As in `read_video`.
        index: Of this video, to begin near the frames asked for instead of at the first.

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
    pending = distinct.tolist() or [0]  # of an empty request, only H and W are wanted
    if index is not None and size is None:
        size = (index.facts.height, index.facts.width)  # the first frame's, which may not be among those decoded
    with opened(uri) as source:
        to_rgb = RgbConverter(size)
        if isinstance(source, ImageFolder):
            converted = [to_rgb(frame) for frame in _images_at(source, pending)]
        elif index is not None:
            converted = [to_rgb(frame) for frame in _indexed(source, pending, index)]
        else:
            converted = [to_rgb(frame) for frame in _picked(source, pending)]
    if len(converted) < len(pending):
        if index is not None:  # it is of another file than the one that is there now
            return read_frames(uri, frames, size)
        raise beyond_end(uri, pending[-1], probe(uri).num_frames)
    return np.stack(converted)[places]


def probe(uri: str) -> VideoFacts:
    """Decodes a video once, converting nothing, to learn what it is; errors as in `read_video`."""
    with opened(uri) as source:
        fps = source.fps
        stamps: list[int | None] = []
        width, height = 0, 0
        for frame in source.frames():
            if not stamps:
                width, height = upright_size(frame)
            stamps.append(stamp_of(frame))
    return VideoFacts(len(stamps), fps, width, height, has_variable_rate(stamps))


def has_variable_rate(stamps: Sequence[int | None]) -> bool:
    """Whether the frames with these stamps are not all equally long on screen."""
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < 3 or len(known) < len(stamps):
        return False
    intervals = np.diff(known)
    median = float(np.median(intervals))
    return bool((np.abs(intervals - median) > max(1.0, TIMING_TOLERANCE * median)).any())


def beyond_end(uri: str, frame: int, num_frames: int) -> UnreadableVideo:
    """The error of a video that has no such frame."""
    return UnreadableVideo(uri, f"frame {frame} was asked for, but only {num_frames} frames can be decoded")


class RgbConverter:
    """Scales, converts and rotates frames; one swscale context for all frames of a video.

    Args:
        size: As in `read_video`.
    """

    def __init__(self, size: Size) -> None:
        self._size = (size, size) if isinstance(size, int) else size
        self._swscale = VideoReformatter()

    def __call__(self, frame: av.VideoFrame) -> Frames:
        """The pixels of a frame, (H, W, 3), uint8 RGB."""
        if self._size is None:  # the first frame's size holds for all, should the stream change it on the way
            width, height = upright_size(frame)
            self._size = (height, width)
        turns = _quarter_turns(frame)
        height, width = self._size if turns % 2 == 0 else self._size[::-1]
        scaled = self._swscale.reformat(
            frame, width=width, height=height, format="rgb24", interpolation=INTERPOLATION, threads=1
        )
        picture = scaled.to_ndarray()
        return np.rot90(picture[::-1] if _is_mirrored(frame) else picture, turns)


def upright_size(frame: av.VideoFrame) -> tuple[int, int]:
    """Width and height in pixels after rotation."""
    return (frame.width, frame.height) if _quarter_turns(frame) % 2 == 0 else (frame.height, frame.width)


def stamp_of(frame: av.VideoFrame) -> int | None:
    """What marks a frame among those of its video; None where the container marks none."""
    return frame.pts if frame.pts is not None else frame.dts


def frames_from(source: VideoStream, point: SeekPoint) -> Iterator[av.VideoFrame]:
    """Decodes from a point on; nothing where seeking does not lead to the frame of the point."""
    try:
        source.stream.container.seek(point.seek_to, stream=source.stream, backward=True, any_frame=False)
        frames = source.frames()
        for frame in frames:
            stamp = stamp_of(frame)
            if stamp is None or stamp > point.stamp:
                return
            if stamp == point.stamp:
                yield frame
                break
        yield from frames
    except (av.FFmpegError, UnreadableVideo):
        return


def _picked(source: VideoStream, pending: Sequence[int]) -> Iterator[av.VideoFrame]:
    """The frames of ascending indices, decoding no further than the last."""
    wanted = set(pending)
    for index, frame in enumerate(source.frames()):
        if index in wanted:
            yield frame
        if index == pending[-1]:
            return


def _indexed(source: VideoStream, pending: Sequence[int], index: FrameIndex) -> Iterator[av.VideoFrame]:
    """The same, leaping to the last point before a frame wherever that lies ahead."""
    frames, position = source.frames(), 0
    for wanted in pending:
        point = index.point_before(wanted)
        if point is not None and point.frame > position:
            frames, position = frames_from(source, point), point.frame
        for frame in frames:
            position += 1
            if position > wanted:
                yield frame
                break


def _images_at(source: ImageFolder, pending: Sequence[int]) -> Iterator[av.VideoFrame]:
    for index in pending:
        if index >= len(source.files):
            return
        yield next(source.frames_from(index))


def _quarter_turns(frame: av.VideoFrame) -> int:
    """Counter-clockwise quarter turns that the display matrix of the container asks for: where it sends the x axis."""
    return round(frame.rotation / 90)


def _is_mirrored(frame: av.VideoFrame) -> bool:
    """Whether the display matrix sends the y axis to the other side of the x axis, as front cameras ask for."""
    matrix = frame.side_data.get(SideData.DISPLAYMATRIX)
    if matrix is None:
        return False
    a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].tolist()  # 16.16 fixed point
    return bool(a * d < b * c)
