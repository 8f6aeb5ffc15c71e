"""One careful look at a video: what decodes, how its frames are timed and turned, and what they look like."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from hybridal_ray.pool.containers import opened
from hybridal_ray.pool.decoding import RgbConverter, VideoFacts, has_variable_rate, stamp_of, upright_size

# The frames that are hashed lie this part of the way through the video.
HASHED_AT = (0.1, 0.3, 0.5, 0.7, 0.9)
HASH_EDGE = 8
KEPT_FRAMES = 32  # thumbnails, from which those of `HASHED_AT` are taken when the length is known


@dataclass(frozen=True)
class Inspection:
    """What a look at a video found.

    Attributes:
        facts: Counted by decoding all of it.
        broke_off: Why decoding ended early, the frames before being good; None where it reached the end.
        stated_frames: Frames that the header claims; 0 where it claims none.
        rotation: Degrees by which the frames were turned, counter-clockwise; of mirrored ones, after a vertical flip.
        checksum: Of all decoded pixels; equal videos in different containers have the same.
        hashes: Perceptual hashes of five frames, each 64 bits as 16 hexadecimal digits.
    """

    facts: VideoFacts
    broke_off: str | None
    stated_frames: int
    rotation: int
    checksum: str
    hashes: tuple[str, ...]


def inspection_of(fields: Mapping[str, Any]) -> Inspection:
    """An inspection out of the fields that ``dataclasses.asdict`` and JSON made of one."""
    parts = {**fields, "facts": VideoFacts(**fields["facts"]), "hashes": tuple(fields["hashes"])}
    return Inspection(**parts)


def inspect_video(uri: str) -> Inspection:
    """Decodes a video once, holding a few thumbnails of it.

    Args:
        uri: Local path or URI.

    Raises:
        UnreadableVideo: Not one frame can be decoded.
    """
    thumbnails: list[npt.NDArray[np.uint8]] = []
    stamps: list[int | None] = []
    spacing, checksum, rotation, width, height = 1, 0, 0, 0, 0
    to_thumbnail = RgbConverter((HASH_EDGE, HASH_EDGE + 1))
    with opened(uri) as source:
        fps = source.fps
        for number, frame in enumerate(source.frames()):
            if number == 0:
                (width, height), rotation = upright_size(frame), round(frame.rotation)
            stamps.append(stamp_of(frame))
            checksum = zlib.crc32(_luma(frame), checksum)
            if number % spacing == 0:
                thumbnails.append(to_thumbnail(frame))
                if len(thumbnails) == 2 * KEPT_FRAMES:  # of a video of any length, a few dozen evenly spaced ones
                    thumbnails, spacing = thumbnails[::2], 2 * spacing
        stated = getattr(getattr(source, "stream", None), "frames", 0)
        broke_off = source.broke_off
    chosen = [thumbnails[int(part * len(thumbnails))] for part in HASHED_AT]
    return Inspection(
        VideoFacts(len(stamps), fps, width, height, has_variable_rate(stamps)),
        broke_off,
        int(stated or 0),
        rotation,
        f"{checksum:08x}-{len(stamps)}-{width}x{height}",
        tuple(perceptual_hash(thumbnail) for thumbnail in chosen),
    )


def perceptual_hash(thumbnail: npt.NDArray[np.uint8]) -> str:
    """Difference hash: whether each pixel is brighter than its right neighbour; blind to scale, light and coding.

    Args:
        thumbnail: (8, 9, 3), uint8 RGB.

    Returns:
        16 hexadecimal digits. Reference: N. Krawetz, "Kind of Like That", 2013.
    """
    grey = thumbnail.astype(np.int32) @ np.array([299, 587, 114])
    return np.packbits(grey[:, :-1] > grey[:, 1:]).tobytes().hex()


def _luma(frame: av.VideoFrame) -> bytes:
    """The first plane without the padding of its lines, which is not the same from run to run."""
    plane = frame.planes[0]
    lines = np.frombuffer(plane, np.uint8).reshape(-1, abs(plane.line_size))
    bits = frame.format.components[0].bits if frame.format.components else 8
    packed = len(frame.planes) == 1 and frame.format.is_rgb
    width = plane.width * (frame.format.bits_per_pixel // 8 if packed else (bits + 7) // 8)
    return lines[: plane.height, : max(1, width)].tobytes()
