"""How unsure the detector is of what is done in a video; the paper's uncertainty knows of masks alone."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import entr


def class_entropy(class_scores: npt.NDArray[np.floating]) -> float:
    """The entropy of a video's predicted class, H(p) / log C.

    Of the mean over passes and clips, so that passes that are sure of different classes count as unsure too (predictive
    entropy; Gal et al., "Deep Bayesian Active Learning with Image Data", ICML 2017). Actors that do different things
    raise it as well: such a video has more to label on a frame.

    Args:
        class_scores: (C,), probabilities; divided by their sum.

    Returns:
        In [0, 1]: 0 where one class has all the probability, and where there is only one; 1 where all have the same.
    """
    if len(class_scores) < 2:
        return 0.0
    shares = np.asarray(class_scores, dtype=np.float64) / class_scores.sum()
    return float(min(entr(shares).sum() / math.log(len(shares)), 1.0))
