"""The pictures of a request: a PNG of each picked frame, and a short film of what happens around it."""

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.decoding import iter_frames

Picture = npt.NDArray[np.uint8]
FALLBACK_FPS = 25.0  # of folders of images, which state none
CLIP_SIDE = 480  # of the longer side of a clip at most, in pixels: it is context, not what is labelled


@dataclass(frozen=True)
class Shot:
    """A picked frame and its surroundings.

    Attributes:
        frame: Its index.
        start: The first frame of the clip.
        stop: Behind the last frame of the clip.
    """

    frame: int
    start: int
    stop: int


def shot_around(frame: int, num_frames: int, fps: float, seconds: float) -> Shot:
    """The frame with half of `seconds` of video on either side of it, as far as the video reaches."""
    half = max(1, round(seconds * (fps or FALLBACK_FPS) / 2))
    return Shot(frame, max(0, frame - half), min(num_frames, frame + half + 1))


def take_shots(uri: str, shots: Mapping[str, Shot], fps: float) -> Iterator[tuple[str, bytes, bytes]]:
    """Decodes a video once, and gives the picture and the clip of each shot as soon as they are whole.

    Args:
        uri: The video.
        shots: By a name of the caller's.
        fps: Of the video; 0.0 where it states none.

    Yields:
        Name, PNG of the frame in full size, MP4 (H.264) of the clip at the video's own frame rate. A video that breaks
        off before the last frame of a clip ends the clip; one that breaks off before a frame has no shot of it.

    Raises:
        UnreadableVideo: Not one frame can be decoded.
    """
    pending = sorted(shots.items(), key=lambda item: (item[1].start, item[0]))
    wanted = {shot.frame for shot in shots.values()}
    pictures: dict[int, bytes] = {}
    film: dict[int, av.VideoFrame] = {}  # small, so that minutes of a large video fit in memory
    for index, picture in enumerate(iter_frames(uri)):
        if index in wanted:
            pictures[index] = encode_png(picture)
        if any(shot.start <= index < shot.stop for _, shot in pending):
            film[index] = film_frame(picture)
        done = [(name, shot) for name, shot in pending if shot.stop == index + 1]
        for name, shot in done:
            yield name, pictures[shot.frame], _clip(shot, film, fps)
        pending = [item for item in pending if item not in done]
        if not pending:
            return
        film = {number: kept for number, kept in film.items() if number >= pending[0][1].start}
    for name, shot in pending:
        if shot.frame in pictures:
            yield name, pictures[shot.frame], _clip(shot, film, fps)


def encode_png(picture: Picture) -> bytes:
    """A picture, (H, W, 3) uint8 RGB, as PNG."""
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width = picture.shape[:2]
    codec.pix_fmt, codec.time_base = "rgb24", Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return b"".join(bytes(packet) for packet in [*codec.encode(frame), *codec.encode(None)])


def film_frame(picture: Picture) -> av.VideoFrame:
    """A picture, (H, W, 3) uint8 RGB, in the size and colours of a clip."""
    height, width = picture.shape[:2]
    shrink = min(1.0, CLIP_SIDE / max(height, width))
    rows, columns = (max(2, round(side * shrink / 2) * 2) for side in (height, width))  # yuv420p knows even sides only
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
    return frame.reformat(width=columns, height=rows, format="yuv420p")


def encode_film(frames: Sequence[av.VideoFrame], fps: float) -> bytes:
    """Frames of one size as H.264 in an MP4 container."""
    file, rate = io.BytesIO(), Fraction(fps or FALLBACK_FPS).limit_denominator(1001)
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames[0].height, frames[0].width
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "veryfast", "crf": "26", "threads": "1", "x264-params": "mbtree=0"}
        for place, frame in enumerate(frames):
            frame.pts, frame.time_base = place, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def _clip(shot: Shot, film: Mapping[int, av.VideoFrame], fps: float) -> bytes:
    return encode_film([film[index] for index in range(shot.start, shot.stop) if index in film], fps)
