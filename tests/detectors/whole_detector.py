"""Detectors of a user's own, without the split in `encode` and `decode`."""

from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorOutput


class WholeDetector(nn.Module):
    """Two convolutions with torch's own dropout between them."""

    def __init__(self, num_classes: int, width: int = 8, rate: float = 0.5) -> None:
        super().__init__()
        self.body = nn.Conv3d(3, width, kernel_size=1)
        self.dropout = nn.Dropout3d(rate)
        self.head = nn.Conv3d(width, 1 + num_classes, kernel_size=1)

    def forward(self, clips: Tensor) -> DetectorOutput:
        features = self.dropout(self.body(clips))
        maps = self.head(features)
        return DetectorOutput(maps[:, 0], maps[:, 1:].mean(dim=(2, 3, 4)), features.mean(dim=(2, 3, 4)))


class SplitDetector(WholeDetector):
    """The same in two parts, with torch's dropout still."""

    def encode(self, clips: Tensor) -> Tensor:
        return self.body(clips)

    def decode(self, features: Tensor) -> DetectorOutput:
        features = self.dropout(features)
        maps = self.head(features)
        return DetectorOutput(maps[:, 0], maps[:, 1:].mean(dim=(2, 3, 4)), features.mean(dim=(2, 3, 4)))


def any_options(num_classes: int, **options: int) -> nn.Module:
    """A constructor that is a function and takes whatever it is given."""
    return nn.Linear(sum(options.values()), num_classes)


NOT_CALLABLE_WITH_CLASSES = len
