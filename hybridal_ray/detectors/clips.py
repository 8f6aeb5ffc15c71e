"""Where the clips of a video lie, so that every frame is seen."""

import numpy as np
import numpy.typing as npt

FrameIndices = npt.NDArray[np.int64]


def clip_span(clip_frames: int, clip_stride: int) -> int:
    """Video frames from the first to the last frame of a clip, both counted."""
    return (clip_frames - 1) * clip_stride + 1


def clip_at(start: int, num_frames: int, clip_frames: int, clip_stride: int) -> FrameIndices:
    """The frames of the clip that begins at `start`, (T,); beyond the ends of the video its end frames repeat."""
    return np.clip(start + clip_stride * np.arange(clip_frames), 0, num_frames - 1).astype(np.int64)


def tile_clips(num_frames: int, clip_frames: int, clip_stride: int) -> FrameIndices:
    """Covers a video with clips, interleaved where the stride leaves frames out.

    Consecutive blocks of ``clip_frames * clip_stride`` frames hold `clip_stride` clips each, one for every offset.
    The last block is moved back so that it ends with the video, and overlaps the one before; a video shorter
    than a block repeats its last frame.

    Args:
        num_frames: Frames of the video, at least 1.
        clip_frames: T.
        clip_stride: Video frames between neighbouring frames of a clip.

    Returns:
        (clips, T), frame indices; every frame of the video appears at least once.
    """
    block = clip_frames * clip_stride
    starts = list(range(0, max(num_frames - block, 0) + 1, block))
    if starts[-1] + block < num_frames:
        starts.append(num_frames - block)
    offsets = range(clip_stride) if num_frames > 1 else range(1)
    return np.stack(
        [clip_at(start + offset, num_frames, clip_frames, clip_stride) for start in starts for offset in offsets]
    )
