"""The area under the precision-recall curve of ranked detections."""

import numpy as np
import numpy.typing as npt


def average_precision(true_positives: npt.NDArray[np.bool_], num_truth: int) -> float:
    """All-point average precision: the area under the precision envelope.

    The envelope at a recall is the greatest precision at that recall or any higher one; the area is the exact
    sum over the recall steps (Pascal VOC from 2010 on).

    Args:
        true_positives: (n,), for each detection in rank order, whether it was matched.
        num_truth: Ground truths there are to find, at least 1.

    Returns:
        In [0, 1]; 0 without detections.

    Raises:
        ValueError: There is no ground truth, so recall is undefined.
    """
    if num_truth < 1:
        raise ValueError("average precision is undefined without ground truth")
    precision = np.cumsum(true_positives) / np.arange(1, len(true_positives) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(envelope[true_positives].sum() / num_truth)
