"""Spatio-temporal weights of pseudo-labels (method §7, equation φ), and the weightings they are compared with."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Weighting = Literal["none", "labelled", "gaussian", "stew"]
SpatialRule = Literal["mean", "symmetric"]
Weights = npt.NDArray[np.float32]


def temporal_weights(frames: npt.NDArray[np.int64], labelled: Sequence[int], *, sigma: float, stride: int) -> Weights:
    """How far each frame may be trusted: ``max over labelled f_a of exp(−d(f, f_a)² / 2σ²)``.

    Args:
        frames: (T,), frames of the clip.
        labelled: Labelled frames of the video, with or without actors.
        sigma: σ_t, in sampled frames.
        stride: Video frames from one sampled frame to the next.

    Returns:
        (T,), in [0, 1]; 1 on a labelled frame; 0 everywhere when no frame is labelled.
    """
    if not len(labelled):
        return np.zeros(len(frames), dtype=np.float32)
    nearest = np.abs(frames[:, None] - np.asarray(labelled)[None, :]).min(axis=1) / stride
    return np.exp(-(nearest**2) / (2 * sigma**2)).astype(np.float32)


def spatial_weights(window_mean: Weights, *, rule: SpatialRule, low: float, high: float) -> Weights:
    """How consistent the pseudo-label of a pixel is around a frame.

    Args:
        window_mean: x̄, mean of the pseudo-label over the frames of the window that exist, any shape, in [0, 1].
        rule: ``mean`` is the paper's x̄; ``symmetric`` is max(x̄, 1 − x̄), which treats flicker of actor and
            background alike.
        low: x̄ at or below it counts fully: background all along.
        high: x̄ at or above it counts fully: actor all along.

    Returns:
        The same shape, in [0, 1].
    """
    changing = window_mean if rule == "mean" else np.maximum(window_mean, 1.0 - window_mean)
    consistent = (window_mean <= low) | (window_mean >= high)
    return np.where(consistent, np.float32(1.0), changing).astype(np.float32)


def window_means(foreground: npt.NDArray[np.bool_], exists: npt.NDArray[np.bool_], window: int) -> Weights:
    """Mean pseudo-label over the 2W + 1 sampled frames around each frame of a clip.

    Args:
        foreground: (T + 2W, H, W'), pseudo-label on the clip's frames and W sampled frames on either side.
        exists: (T + 2W,), whether each of these frames lies in the video.
        window: W.

    Returns:
        (T, H, W'), in [0, 1], over the frames that exist. Where a short video repeats its last frame, that frame's own
        pseudo-label counts too, so that a window wholly beyond the end has a mean.
    """
    length = 2 * window + 1
    means = []
    for first in range(len(foreground) - 2 * window):
        counted = exists[first : first + length].copy()
        counted[window] = True
        means.append(foreground[first : first + length][counted].mean(axis=0))
    return np.stack(means).astype(np.float32)


def clip_weights(
    weighting: Weighting,
    frames: npt.NDArray[np.int64],
    labelled: Sequence[int],
    window_mean: Weights,
    *,
    sigma: float,
    stride: int,
    rule: SpatialRule = "mean",
    low: float = 0.0,
    high: float = 1.0,
) -> Weights:
    """The weight of each pixel of a clip in the mask loss.

    Args:
        weighting: ``none`` counts every pseudo-label fully; ``labelled`` only labelled frames; ``gaussian`` is
            the temporal weight alone (Active Sparse Labeling, Rana and Rawat, NeurIPS 2022); ``stew`` is the
            product of temporal and spatial weight, labelled frames counting fully. A video without labels has no
            pseudo-label, and weighs nothing under any of them.
        frames: (T,), frames of the clip.
        labelled: Labelled frames of the video.
        window_mean: (T, H, W), from `window_means`; gives the shape for every weighting.
        sigma: σ_t, in sampled frames.
        stride: Video frames from one sampled frame to the next.
        rule: See `spatial_weights`.
        low: See `spatial_weights`.
        high: See `spatial_weights`.

    Returns:
        (T, H, W), float32 in [0, 1].
    """
    is_labelled = np.isin(frames, labelled)
    if not len(labelled):  # there is no pseudo-label at all
        over_time = np.zeros(len(frames), dtype=np.float32)
    elif weighting == "none":
        over_time = np.ones(len(frames), dtype=np.float32)
    elif weighting == "labelled":
        over_time = is_labelled.astype(np.float32)
    else:
        over_time = temporal_weights(frames, labelled, sigma=sigma, stride=stride)
    weights = np.broadcast_to(over_time[:, None, None], window_mean.shape).copy()
    if weighting == "stew":
        spatial = spatial_weights(window_mean, rule=rule, low=low, high=high)
        weights[~is_labelled] *= spatial[~is_labelled]
    return weights
