"""Where frames come from: a video file or a folder of images, on a local path or streamed from an object store."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import av

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

# Read ahead in an object store: one request for each of these, instead of one for each of FFmpeg's 32 KiB.
REMOTE_BUFFER_BYTES = 1 << 20

# A header can claim any size; FFmpeg would reserve the memory for it before the first frame fails to decode.
MAX_PIXELS = 1 << 26  # 8192 × 8192

# fmt: off
VIDEO_SUFFIXES = frozenset({
    ".avi", ".mp4", ".m4v", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".ogv",
    ".3gp", ".y4m", ".gif",
})
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"})
# fmt: on


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


class FrameSource(Protocol):
    """An opened video."""

    @property
    def fps(self) -> float:
        """Average frame rate that the container states; 0.0 where it states none."""
        ...

    def frames(self) -> Iterator[av.VideoFrame]:
        """The frames up to the end, or to the first that does not decode, from the first or from where it was sought.

        Raises:
            UnreadableVideo: Not one frame decodes.
        """
        ...


@dataclass
class VideoStream:
    """The main video stream of a container.

    Attributes:
        uri: Where the file lies.
        stream: Of the opened container.
        broke_off: Why decoding ended before the end of the file; None where it did not.
    """

    uri: str
    stream: av.VideoStream
    broke_off: str | None = None

    @property
    def fps(self) -> float:
        """See `FrameSource`."""
        return float(self.stream.average_rate or self.stream.guessed_rate or 0)

    def frames(self) -> Iterator[av.VideoFrame]:
        """See `FrameSource`."""
        num_frames = 0
        try:
            for frame in self.stream.container.decode(self.stream):
                num_frames += 1
                yield frame
        except av.FFmpegError as error:
            self.broke_off = failure(error)
        except OSError as error:  # the object store failed, not the video: a prefix would differ from try to try
            raise UnreadableVideo(self.uri, f"cannot be read: {error}") from error
        if num_frames == 0:
            raise UnreadableVideo(self.uri, f"no frame can be decoded: {self.broke_off or 'holds no frame'}")


@dataclass
class ImageFolder:
    """A folder whose images, in the natural order of their names, are the frames of a video.

    Attributes:
        uri: The folder.
        files: The images.
        broke_off: Why an image after the first could not be read, which ends the video; None where all could.
    """

    uri: str
    files: list[str]
    broke_off: str | None = None

    @property
    def fps(self) -> float:
        """Images state no frame rate."""
        return 0.0

    def frames(self) -> Iterator[av.VideoFrame]:
        """See `FrameSource`."""
        return self.frames_from(0)

    def frames_from(self, first: int) -> Iterator[av.VideoFrame]:
        """The frames from a given one on."""
        for number, file in enumerate(self.files[first:]):
            try:
                frame = _first_frame(file)
            except UnreadableVideo as error:
                self.broke_off = f"{os.path.basename(file)}: {error.reason}"
                if number == 0:
                    raise UnreadableVideo(self.uri, f"no frame can be decoded: {self.broke_off}") from error
                return
            yield frame


@contextmanager
def opened(uri: str) -> Iterator[VideoStream | ImageFolder]:
    """Opens a video for decoding on one thread, and closes it at the end.

    Args:
        uri: Local path or URI of a file, or of a folder of images (a URI of a folder ends with a slash).

    Raises:
        UnreadableVideo: It is absent, cannot be opened, holds no video, or claims frames of absurd size.
    """
    if is_folder(uri):
        yield ImageFolder(uri, _images(uri))
        return
    with _open_container(uri) as container:
        yield VideoStream(uri, _video_stream(container, uri))


def is_folder(uri: str) -> bool:
    """Whether a location is a folder, the frames of which are images."""
    return uri.endswith("/") if storage.is_uri(uri) else os.path.isdir(uri)


def natural_order(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts ``2.jpg`` before ``10.jpg``."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((1, int(part), part) if part.isdigit() else (0, 0, part) for part in parts)


def failure(error: Exception) -> str:
    """What an error of FFmpeg or of the file system says, without its number and file."""
    return getattr(error, "strerror", None) or str(error)


def _images(uri: str) -> list[str]:
    files = [file for file in storage.list_files(uri) if os.path.splitext(file)[1].lower() in IMAGE_SUFFIXES]
    if not files:
        raise UnreadableVideo(uri, "cannot be opened: a folder without images")
    return sorted(files, key=natural_order)


def _first_frame(file: str) -> av.VideoFrame:
    with _open_container(file) as container:
        return next(VideoStream(file, _video_stream(container, file)).frames())


def _open_container(uri: str) -> av.container.InputContainer:
    try:
        if not storage.is_uri(uri):
            # The protocol is named, lest FFmpeg take a colon or a pattern in the path for something else.
            return av.open("file:" + os.path.abspath(uri))
        system, path = storage.filesystem(uri)
        return av.open(system.open_input_file(path), buffer_size=REMOTE_BUFFER_BYTES)
    except FileNotFoundError as error:
        raise UnreadableVideo(uri, "no such file") from error
    except (av.FFmpegError, OSError, UserError, ValueError) as error:
        raise UnreadableVideo(uri, f"cannot be opened: {failure(error)}") from error


def _video_stream(container: av.container.InputContainer, uri: str) -> av.VideoStream:
    stream = container.streams.best("video")
    if stream is None:
        raise UnreadableVideo(uri, "holds no video stream")
    context = stream.codec_context
    if context is None:
        raise UnreadableVideo(uri, "is coded in a way that FFmpeg does not know")
    if context.width * context.height > MAX_PIXELS:
        raise UnreadableVideo(uri, f"claims frames of {context.width}×{context.height} pixels")
    context.options = {"max_pixels": str(MAX_PIXELS)}  # of what the stream claims on the way
    context.thread_count = 1  # actors and workers run side by side, one a core
    return stream
