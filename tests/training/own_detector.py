"""A user's own detector: no split, torch's dropout, one class a clip."""

from pathlib import Path

from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorOutput


class OneClassDetector(nn.Module):
    """A small network of three-dimensional convolutions."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv3d(3, 8, 3, padding=1), nn.ReLU(), nn.Dropout3d(0.1))
        self.mask = nn.Conv3d(8, 1, 1)
        self.classes = nn.Linear(8, num_classes)

    def forward(self, clips: Tensor) -> DetectorOutput:
        features = self.body(clips)
        latent = features.mean(dim=(2, 3, 4))
        return DetectorOutput(self.mask(features)[:, 0], self.classes(latent), latent)


class DeepDetector(OneClassDetector):
    """The same with more convolutions, and without dropout."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        layers = [nn.Conv3d(before, after, 3, padding=1) for before, after in ((3, 8), (8, 16), (16, 8))]
        self.body = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2], nn.ReLU())


class CountedDetector(OneClassDetector):
    """The same, and writes a line into a file whenever it is built."""

    def __init__(self, num_classes: int, file: str) -> None:
        super().__init__(num_classes)
        with Path(file).open("a") as lines:
            lines.write("built\n")
