"""The plain values that training takes."""

from dataclasses import dataclass
from typing import Literal

from hybridal_ray.training.losses.actor_class import ClassLoss
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
        class_loss: See `hybridal_ray.training.losses.actor_class.actor_class_loss`.
    """

    weighting: Weighting = "stew"
    window: int = 2
    temporal_sigma: float = 4 / 3
    spatial_rule: SpatialRule = "mean"
    spatial_low: float = 0.0
    spatial_high: float = 1.0
    dice: float = 1.0
    classes: float = 1.0
    class_loss: ClassLoss = "cross_entropy"


@dataclass(frozen=True)
class ClusteringSettings:
    """The deep-clustering term.

    Attributes:
        clusters: K; 0 leaves the term out.
        beta: β, its weight.
        start: Share of the epochs trained before the centres start from k-means on the labelled videos, in [0, 1); they
            start before the last epoch at the latest.
    """

    clusters: int = 5
    beta: float = 1e-6
    start: float = 0.5


@dataclass(frozen=True)
class OptimiserSettings:
    """How long and how fast a round is trained.

    Attributes:
        epochs: Checkpoints are written after each.
        steps_per_epoch: Steps of the optimiser in an epoch.
        batch_size: Clips in a step, over all workers.
        accumulate: Parts that a worker's share of a batch is run in, one after the other; its memory is that of one.
        optimiser: ``adamw``, or ``adam``, as the paper has it.
        betas: Adam's decay rates of the mean and of the variance of the gradient.
        learning_rate: Its peak.
        schedule: ``cosine`` falls to zero after the warm-up, ``constant`` stays.
        warmup_steps: Steps over which the rate rises linearly from zero.
        weight_decay: Decoupled for ``adamw``, added to the gradient for ``adam``.
        clip_norm: Largest norm of the gradient.
        precision: ``auto`` is bfloat16 on a GPU that has it, float16 on an older one, float32 on a CPU.
        average: Decay of the moving average of the weights that becomes the round's detector; 0 takes the weights
            as they are.
        channels_last: Keep pixels, not channels, apart in memory; faster convolutions on some devices.
        compile: Compile the detector with torch.compile.
        freeze_encoder: Leave the detector's encoder as it is.
        loaders: Threads of each worker that decode and draw batches while others are trained on.
        cache_mib: Decoded frames of labelled videos that each worker keeps, in MiB.
    """

    epochs: int = 10
    steps_per_epoch: int = 100
    batch_size: int = 8
    accumulate: int = 1
    optimiser: Literal["adamw", "adam"] = "adamw"
    betas: tuple[float, float] = (0.9, 0.999)
    learning_rate: float = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_steps: int = 50
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    average: float = 0.0
    channels_last: bool = False
    compile: bool = False
    freeze_encoder: bool = False
    loaders: int = 1
    cache_mib: int = 1024


@dataclass(frozen=True)
class SamplingSettings:
    """Which clips are trained on, and how they are changed.

    Attributes:
        balance_classes: Draw every class equally often instead of every video.
        unlabelled: Share of each batch that is clips of unlabelled videos, once there are centres: they take part in
            the clustering term alone. In [0, 1).
        flip: Whether half of the clips are mirrored.
        crop: Strength of the scale-jitter crop: the side of what is seen of a frame is at least 1 − crop of it, and
            as much as all of it. In [0, 1).
        colour: Strength of the colour augmentation, see `hybridal_ray.training.colour.jitter_colours`.
    """

    balance_classes: bool = False
    unlabelled: float = 0.0
    flip: bool = True
    crop: float = 0.0
    colour: float = 0.7
