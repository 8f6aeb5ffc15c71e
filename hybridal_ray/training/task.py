"""What a worker is given: the training task, and the session that surrounds it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.pool.ledger import VideoLabels
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings

State = dict[str, Any]


class Session(Protocol):
    """What surrounds a worker: its place among the others, its device, and where checkpoints go."""

    rank: int
    world_size: int
    device: torch.device

    def wrap(self, detector: nn.Module) -> nn.Module:
        """The detector as it is called in training: on its device, its gradients averaged over the workers."""
        ...

    def resume(self) -> State | None:
        """The state of the last epoch that was kept, or None at the start."""
        ...

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        """Keeps the state of an epoch; called by every worker, the state is that of rank 0."""
        ...


@dataclass(frozen=True)
class LabelledVideos:
    """Videos with the labelled frames of each, in the same order."""

    videos: Sequence[Video]
    labels: Sequence[VideoLabels]


@dataclass(frozen=True)
class TrainingTask:
    """What is to be trained.

    Attributes:
        spec: The detector.
        labelled: What it is trained on.
        loss: Weighting of the loss.
        clustering: The deep-clustering term.
        optimiser: Length and speed of training.
        sampling: Choice and augmentation of clips.
        seed: Of the run.
        round_index: Which round; it takes part in every seed.
        validation: What the best of the epochs with centres is chosen by; None takes the last epoch.
        patience: Epochs without a better one after which training ends; None trains all of them.
        unlabelled: Videos without labels, for the clustering term alone.
        pool_root: Where the seek points of long videos are kept; None keeps them in memory.
        initial_weights: State dict to start from, or None for fresh weights.
    """

    spec: DetectorSpec
    labelled: LabelledVideos
    loss: LossSettings
    clustering: ClusteringSettings
    optimiser: OptimiserSettings
    sampling: SamplingSettings
    seed: int
    round_index: int
    validation: LabelledVideos | None = None
    patience: int | None = None
    unlabelled: Sequence[Video] = ()
    pool_root: str | None = None
    initial_weights: dict[str, Tensor] | None = field(default=None, repr=False)
