"""Labels and small videos made up for the tests of training."""

from pathlib import Path

import av
import numpy as np
import pyarrow as pa

from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool.ledger import LABELS_SCHEMA, LabelledBox
from hybridal_ray.pool.tables import Video

SIDE = 32
SPEC = DetectorSpec("compact", 2, SIDE, clip_frames=4, clip_stride=2, options={"width": 8, "pyramid_width": 8})


def actor(tube_id: str, x1: float, y1: float, x2: float, y2: float, class_id: int = 0, mask: str | None = None):
    return LabelledBox(tube_id, class_id, (x1, y1, x2, y2), mask)


def square(number: int, frame: int) -> tuple[int, int, int, int]:
    """Where the actor of video `number` is: video 0, 2, … move to the right, the others down."""
    moved = 2 + (frame + number) % 14
    return (moved, 8, moved + 16, 24) if number % 2 == 0 else (8, moved, 24, moved + 16)


def write_video(folder: Path, number: int, num_frames: int) -> Video:
    """Encodes a dark video in which one bright square moves; lossless, in full colour resolution."""
    path = folder / f"video-{number:02d}.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264rgb", rate=25, options={"qp": "0"})
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "rgb24"
        for frame in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number, frame), format="rgb24")))
        container.mux(stream.encode())
    return Video(path.stem, str(path), "train", f"group-{number}", num_frames, SIDE, SIDE)


def picture(number: int, frame: int) -> np.ndarray:
    x1, y1, x2, y2 = square(number, frame)
    pixels = np.full((SIDE, SIDE, 3), 16, dtype=np.uint8)
    pixels[y1:y2, x1:x2] = (200, 40 * (number % 5), 80)
    return pixels


def write_pool(folder: Path, videos: int, num_frames: int, labelled: tuple[int, ...]) -> tuple[list[Video], pa.Table]:
    """Videos of moving squares, and the ledger of some frames of each; the class is the direction."""
    written = [write_video(folder, number, num_frames) for number in range(videos)]
    rows = [
        {
            "video_id": video.video_id,
            "frame": frame,
            "round": 0,
            "source": "made up",
            "seconds": None,
            "boxes": [
                {"tube_id": "a", "class_id": number % 2, "mask": None}
                | dict(zip(("x1", "y1", "x2", "y2"), square(number, frame), strict=True))
            ],
        }
        for number, video in enumerate(written)
        for frame in labelled
    ]
    return written, pa.Table.from_pylist(rows, schema=LABELS_SCHEMA)
