"""A detector that draws one class, and remembers for which it was asked to."""

import torch
from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorOutput


class DrawsOneClass(nn.Module):
    """An encoder with batch statistics, and a head that takes the class."""

    draws_one_class = True

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.BatchNorm3d(4))
        self.mask = nn.Conv3d(4, num_classes, 1)
        self.classes = nn.Linear(4, num_classes)
        self.asked: list[list[int]] = []

    def forward(self, clips: Tensor, classes: Tensor | None = None) -> DetectorOutput:
        features = self.encoder(clips)
        latent = features.mean(dim=(2, 3, 4))
        scores = self.classes(latent)
        self.asked.append([] if classes is None else classes.tolist())
        drawn = scores.argmax(1) if classes is None else torch.where(classes < 0, scores.argmax(1), classes)
        maps = self.mask(features)
        return DetectorOutput(maps[torch.arange(len(maps)), drawn], scores, latent)
