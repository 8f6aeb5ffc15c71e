"""Actor masks as COCO run lengths: column-major runs that start with background, compressed to a string."""

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco

BoolMask = npt.NDArray[np.bool_]


def encode_mask(mask: BoolMask) -> str:
    """Compresses a mask to COCO RLE counts.

    Args:
        mask: (H, W), True where the actor is.

    Returns:
        ASCII counts, as the tables of a pool hold them. Height and width are not part of them.
    """
    return coco.encode(np.asfortranarray(mask, dtype=np.uint8))["counts"].decode("ascii")


def decode_mask(counts: str, height: int, width: int) -> BoolMask:
    """Expands COCO RLE counts.

    Args:
        counts: What `encode_mask` returned.
        height: H of the mask, in pixels.
        width: W of the mask, in pixels.

    Returns:
        (H, W), True where the actor is.

    Raises:
        ValueError: The counts do not describe `height` × `width` pixels.
    """
    runs = _run_lengths(counts)
    if (runs < 0).any() or runs.sum() != height * width:
        raise ValueError(f"run lengths cover {runs.sum()} pixels, expected {height} × {width}")
    in_columns = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(in_columns.reshape(width, height).T)


def box_of_mask(mask: BoolMask) -> tuple[float, float, float, float] | None:
    """The smallest box around a mask.

    Args:
        mask: (H, W), True where the actor is.

    Returns:
        (x1, y1, x2, y2) in pixels, x2 and y2 exclusive; None where the mask is empty.
    """
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    if len(columns) == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _run_lengths(counts: str) -> npt.NDArray[np.int64]:
    """Reads COCO's variable-length numbers: pixels of background, actor, background, … in turn.

    pycocotools' own decoder leaves the pixels beyond the last run uninitialised, so counts that belong to another
    size would give another mask each time; with the runs in hand their sum can be checked.

    A number is a string of characters 48 + b, lowest five bits first, 32 in b meaning that more follow and 16 in
    the last one a negative sign. From the fourth on, it is the difference to the run two before.
    """
    codes = np.frombuffer(counts.encode("ascii"), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 32) == 0)
    if len(ends) == 0 or ends[-1] != len(codes) - 1 or codes.min() < 0 or codes.max() > 63:
        raise ValueError("not COCO run lengths")
    starts = np.concatenate([[0], ends[:-1] + 1])
    digits = ends - starts + 1
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, digits))
    values = np.add.reduceat((codes & 31) << shifts, starts)
    values -= np.where(codes[ends] & 16, 1 << (5 * digits), 0)
    for first in (1, 2):
        values[first::2] = np.cumsum(values[first::2])
    return values
