"""The latents in the scores of a pool, as matrices."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.errors import UserError
from hybridal_ray.selection.score_batches import ScoreBatches

ROWS_AT_ONCE = 4096


def latents_of(scores: ScoreBatches) -> Iterator[tuple[pa.ChunkedArray, npt.NDArray[np.float32]]]:
    """The videos that have a latent, some at a time: ids (V,) and latents (V, D).

    Raises:
        UserError: A latent is not finite, or the scores cannot be read.
    """
    for batch in scores.batches(["video_id", "latent"], ROWS_AT_ONCE):
        scored = with_latent(batch)
        if len(scored):
            yield scored["video_id"], latent_matrix(scored)


def with_latent(rows: pa.Table) -> pa.Table:
    """The videos that could be scored; in most batches these are all of them, which then need no copy."""
    return rows.filter(pc.is_valid(rows["latent"])) if rows["latent"].null_count else rows


def latent_matrix(rows: pa.Table) -> npt.NDArray[np.float32]:
    """The latents of rows that all have one as (V, D), without a Python object a number.

    Raises:
        UserError: One is not finite, or they differ in length; the message names a video.
    """
    return list_matrix(rows, "latent")


def list_matrix(rows: pa.Table, column: str) -> npt.NDArray[np.float32]:
    """A column of lists of numbers, all of one length, as (V, D).

    Raises:
        UserError: One is not finite, or they differ in length; the message names a video.
    """
    lengths = pc.list_value_length(rows[column]).to_numpy()
    if len(lengths) and (lengths != lengths[0]).any():
        video_id = rows["video_id"][int((lengths != lengths[0]).argmax())].as_py()
        raise UserError(f"scores: the {column} of video {video_id!r} is not as long as that of others")
    matrix = pc.list_flatten(rows[column]).to_numpy().reshape(len(rows), lengths[0] if len(lengths) else 0)
    broken = ~np.isfinite(matrix).all(axis=1)
    if broken.any():
        video_id = rows["video_id"][int(broken.argmax())].as_py()
        raise UserError(f"scores: the {column} of video {video_id!r} is not finite; did the training diverge?")
    return matrix
