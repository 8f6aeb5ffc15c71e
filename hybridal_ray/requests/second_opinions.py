"""Which frames of a batch two annotators answer."""

import numpy as np
import numpy.typing as npt


def asked_twice(num_frames: int, overlap: float) -> npt.NDArray[np.bool_]:
    """Which frames of an ordered batch two annotators are to answer: the share `overlap`, evenly spread.

    A shorter batch is the beginning of a longer one, so that one can be cut without another share coming out.

    Args:
        num_frames: N.
        overlap: In [0, 1].

    Returns:
        (N,), of which ``overlap·N`` are true, rounded half up.
    """
    so_far = np.floor(np.arange(num_frames + 1) * overlap + 0.5)
    return np.diff(so_far) > 0
