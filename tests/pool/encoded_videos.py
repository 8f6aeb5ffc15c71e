"""Small H.264 files whose every frame says its own index, in blocks that survive lossy coding and scaling."""

import struct
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

BITS = 8
HEIGHT, WIDTH = 48, 16 * BITS


def numbered_frame(index: int) -> np.ndarray:
    """(H, W, 3): the upper third shows the bits of `index`, the lowest first; below, red on the left, blue right."""
    frame = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    for bit in range(BITS):
        frame[: HEIGHT // 3, 16 * bit : 16 * (bit + 1)] = 255 * (index >> bit & 1)
    frame[HEIGHT // 3 :, : WIDTH // 2, 0] = 255
    frame[HEIGHT // 3 :, WIDTH // 2 :, 2] = 255
    return frame


def number_on(frame: np.ndarray) -> int:
    """Reads the index back from a decoded frame of any size."""
    height, width = frame.shape[:2]
    centres = [(2 * bit + 1) * width // (2 * BITS) for bit in range(BITS)]
    return sum(int(frame[height // 6, centre].mean() > 127) << bit for bit, centre in enumerate(centres))


def encode(
    path: Path,
    num_frames: int,
    *,
    fps: int = 25,
    key_frame_every: int = 250,
    b_frames: int = 2,
    stamps: Sequence[int] | None = None,
) -> Path:
    """Writes a video of `numbered_frame`s; with B frames, decode order is not the order of packets.

    `stamps` are the times of the frames in parts of ``1 / fps``; None: one after the other.
    """
    with av.open(str(path), "w", options={"movflags": "faststart"} if path.suffix == ".mp4" else {}) as container:
        stream = container.add_stream("libx264", rate=Fraction(fps))
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "18", "g": str(key_frame_every), "bf": str(b_frames), "threads": "1"}
        for index in range(num_frames):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index), "rgb24")
            frame.pts = index if stamps is None else stamps[index]
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def rotate(path: Path, quarter_turns: int) -> Path:
    """Rewrites the display matrix of an MP4 so that players turn it clockwise by quarter turns."""
    cosine, sine = [(1, 0), (0, 1), (-1, 0), (0, -1)][quarter_turns % 4]
    return show_by(path, cosine, sine, -sine, cosine)


def show_by(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Rewrites the display matrix of an MP4: what is at (x, y) is to be shown at (ax + cy, bx + dy)."""
    one = 1 << 16
    matrix = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40  # ISO/IEC 14496-12, 8.3.2: the matrix of a version-0 track header
    content[start : start + len(matrix)] = matrix
    path.write_bytes(content)
    return path
