"""What a video looks like, whatever a detector makes of it: colour and contrast of sixteen parts of the picture.

Clips of one source (one camera, one film) look alike, and a label in one of them tells much of the others. The latent
of a detector does not say which they are: it is trained to forget clothes and backdrops. This needs no training, and
so serves the first batch too.
"""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from hybridal_ray.dispatch import ActorPlan, PassSummary, Progress, refuse_total_failure, run_over_videos
from hybridal_ray.pool.decoding import UnreadableVideo, read_frames
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.video_scoring import error_row
from hybridal_ray.storage_patience import patiently

FRAMES = 16  # of a video, or all of a shorter one
SIDE = 64  # pixels that a frame is scaled to
CELLS = 4  # on each side


def appearance_of(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Mean and standard deviation of the colours in each cell of the picture, over all frames.

    A tiny image (Torralba, Fergus and Freeman, "80 Million Tiny Images", PAMI 2008) with the second of the colour
    moments (Stricker and Orengo, "Similarity of Color Images", SPIE 1995).

    Args:
        frames: (F, S, S, 3), RGB, S divisible by `CELLS`.

    Returns:
        (2 · CELLS² · 3,), means in [0, 1], then standard deviations in [0, 0.5], each by row, column and channel.
    """
    num_frames, side = frames.shape[:2]
    cell = side // CELLS
    shares = frames.astype(np.float64) / 255
    cells = shares.reshape(num_frames, CELLS, cell, CELLS, cell, 3)
    moments = [cells.mean(axis=(0, 2, 4)), cells.std(axis=(0, 2, 4))]  # (CELLS, CELLS, 3) each
    return np.concatenate([moment.ravel() for moment in moments]).astype(np.float32)


def describe_pool(
    videos: Sequence[Video], out_dir: str, *, plan: ActorPlan, progress: Progress | None = None
) -> PassSummary:
    """Describes every video of a pool, as scores in which the latent is the appearance and all else is unknown.

    Each video is decoded once, and `FRAMES` of its frames are converted; no detector runs.

    Args:
        videos: The pool.
        out_dir: Gets the parts, path or URI.
        plan: Who does it.
        progress: Called with the videos done and all videos.

    Raises:
        UserError: Every video failed; or see `run_over_videos`.
    """
    summary = run_over_videos(
        videos, AppearanceWorker, out_dir, error_row=error_row, schema=SCORES_SCHEMA, plan=plan, progress=progress
    )
    refuse_total_failure(summary, out_dir)
    return summary


class AppearanceWorker:
    """Describes the videos it is given."""

    def process(self, videos: Sequence[Video]) -> list[dict[str, Any]]:
        """A row of `SCORES_SCHEMA` each, in their order; one that cannot be decoded has the reason in ``error``."""
        return [_row(video) for video in videos]


def _row(video: Video) -> dict[str, Any]:
    count = min(video.num_frames, FRAMES)
    middles = (2 * np.arange(count) + 1) * video.num_frames // (2 * count)  # of as many equal parts
    try:
        frames = patiently(functools.partial(read_frames, video.uri, middles, SIDE))
    except UnreadableVideo as error:
        return error_row(video, error.reason)
    return {**dict.fromkeys(SCORES_SCHEMA.names), "video_id": video.video_id, "latent": appearance_of(frames).tolist()}
