"""A video with the predicted actors drawn into it, as an H.264 file."""

import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.evaluation.drawing import Picture, draw_detections
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import iter_frames
from hybridal_ray.pool.tables import Video

DRAWN_WIDTH = 640  # narrower videos are enlarged to about this, or the letters would hide the actors
FALLBACK_FPS = 25.0
Row = Mapping[str, Any]


def render_video(
    video: Video,
    predictions: pa.Table,
    classes: Sequence[str],
    location: str,
    *,
    fps: float,
    truth: pa.Table | None = None,
    min_score: float = 0.0,
) -> None:
    """Writes a video with boxes, class and score of every tube's best class; true boxes are dashed.

    Args:
        video: Decoded frame by frame.
        predictions: Table of `PREDICTIONS_SCHEMA`; rows of other videos are ignored.
        classes: Class names.
        location: The MP4 file to write, path or URI.
        fps: Frames a second; 0 where it is not known.
        truth: Table of `TUBES_SCHEMA`, or None.
        min_score: Boxes of lower score are not drawn.

    Raises:
        UnreadableVideo: The video does not decode.
    """
    said = predictions.filter(pc.field("score") >= min_score)
    predicted = _by_frame(said, video.video_id)
    true = {} if truth is None else _by_frame(truth, video.video_id)
    scale = max(1, round(DRAWN_WIDTH / video.width))
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        rate = Fraction(fps or FALLBACK_FPS).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "fast"})
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(iter_frames(video.uri)):
            drawn = draw_detections(frame, predicted.get(number, ()), true.get(number, ()), classes, scale=scale)
            even = _even(drawn)
            if number == 0:
                stream.height, stream.width = even.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode())
    storage.write_bytes(location, buffer.getvalue())


def _by_frame(table: pa.Table, video_id: str) -> dict[int, list[Row]]:
    rows: dict[int, list[Row]] = defaultdict(list)
    for row in table.filter(pc.field("video_id") == video_id).to_pylist():
        rows[row["frame"]].append(row)
    return rows


def _even(picture: Picture) -> Picture:
    """H.264 halves the colour planes: an odd edge is doubled."""
    height, width = picture.shape[:2]
    return np.ascontiguousarray(np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
