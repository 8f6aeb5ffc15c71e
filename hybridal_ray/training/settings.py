"""The plain values that training takes."""

from dataclasses import dataclass
from typing import Literal

from hybridal_ray.training.stew import SpatialRule, Weighting


@dataclass(frozen=True)
class LossSettings:
    """Weighting of pseudo-labels and of the terms of the loss.

    Attributes:
        weighting: See `hybridal_ray.training.stew.clip_weights`.
        window: W, half width of the spatial window, in sampled frames.
        temporal_sigma: σ_t, in sampled frames.
        spatial_rule: See `hybridal_ray.training.stew.spatial_weights`.
        spatial_low: Window means at or below it count fully.
        spatial_high: Window means at or above it count fully.
        dice: Weight of the Dice loss beside binary cross-entropy.
        classes: Weight of the class loss.
    """

    weighting: Weighting = "stew"
    window: int = 2
    temporal_sigma: float = 4 / 3
    spatial_rule: SpatialRule = "mean"
    spatial_low: float = 0.0
    spatial_high: float = 1.0
    dice: float = 1.0
    classes: float = 1.0


@dataclass(frozen=True)
class ClusteringSettings:
    """The deep-clustering term.

    Attributes:
        clusters: K; 0 leaves the term out.
        beta: β, its weight.
        start: Share of the epochs trained before the centres start from k-means on the labelled videos, in [0, 1).
    """

    clusters: int = 5
    beta: float = 1e-6
    start: float = 0.5


@dataclass(frozen=True)
class OptimiserSettings:
    """How long and how fast a round is trained.

    Attributes:
        epochs: Checkpoints are written after each.
        steps_per_epoch: Batches in an epoch.
        batch_size: Clips in a batch, over all workers.
        learning_rate: Its peak.
        schedule: ``cosine`` falls to zero after the warm-up, ``constant`` stays.
        warmup_steps: Steps over which the rate rises linearly from zero.
        weight_decay: Of AdamW.
        clip_norm: Largest norm of the gradient.
        flip: Whether half of the clips are mirrored.
        colour: Strength of the colour augmentation, see `hybridal_ray.training.colour.jitter_colours`.
        precision: ``auto`` is bfloat16 on a GPU that has it, float32 elsewhere.
        cache_mib: Decoded frames that each worker keeps, in MiB.
    """

    epochs: int = 10
    steps_per_epoch: int = 100
    batch_size: int = 8
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    flip: bool = True
    colour: float = 0.7
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    cache_mib: int = 1024
