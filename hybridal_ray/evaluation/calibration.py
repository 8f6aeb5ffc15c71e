"""Whether scores mean what they say: reliability curves and the expected calibration error."""

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 15


def reliability(
    confidences: npt.NDArray[np.floating], right: npt.NDArray[np.bool_], bins: int = BINS
) -> dict[str, Any] | None:
    """Compares what was said with what came true, in bins of equal width (Guo et al., ICML 2017).

    Args:
        confidences: (n,), in [0, 1].
        right: (n,), whether it was.
        bins: How many.

    Returns:
        ``expected_calibration_error``: mean over the samples of the gap between the mean confidence and the accuracy
        of their bin; and ``bins``, one dict for each that is not empty, ascending: ``confidence``, ``accuracy``,
        ``count``. None without samples, or where a confidence is outside [0, 1]: such scores claim no probability.
    """
    if not len(confidences) or confidences.min() < 0 or confidences.max() > 1:
        return None
    place = np.minimum((confidences * bins).astype(np.int64), bins - 1)
    counts = np.bincount(place, minlength=bins)
    said, true = (np.bincount(place, weights=values, minlength=bins) for values in (confidences, right.astype(float)))
    filled = np.flatnonzero(counts)
    return {
        "expected_calibration_error": float(np.abs(said - true).sum() / len(confidences)),
        "bins": [
            {
                "confidence": float(said[k] / counts[k]),
                "accuracy": float(true[k] / counts[k]),
                "count": int(counts[k]),
            }
            for k in filled
        ],
    }
