"""The paper's encoder under a head that tells several actors of one clip apart: I3D with a feature pyramid."""

from torch import Tensor, nn

from hybridal_ray.detectors.i3d import I3D
from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.pyramid import PyramidHead

Features = tuple[Tensor, ...]
TAPS = ("Conv3d_1a_7x7", "Conv3d_2c_3x3", "Mixed_3c", "Mixed_4f")  # at 1/2, 1/4, 1/8 and 1/16
FIRST_TIME_STRIDE = 2  # of Conv3d_1a
TIME_STRIDE, SPACE_STRIDE = 4, 16  # of Mixed_4f


class I3DPyramid(nn.Module):
    """I3D with its published strides, tapped at four resolutions, and `PyramidHead` on the taps.

    The taps have T/2, T/2, T/2 and T/4 moments; the head interpolates them to T frames.

    Args:
        num_classes: C.
        width: Factor on the channels of I3D; 1 is the published network, which pretrained weights fit.
        pyramid_width: Channels of the pyramid at 1/4, 1/8 and 1/16, a multiple of 16; at 1/2 it has half of them.
        dropout: Rate of the channel dropout in front of the pyramid and of the class head, in [0, 1).

    Raises:
        ValueError: An argument is out of its range.

    Example:
        >>> detector = I3DPyramid(num_classes=6, width=0.25, pyramid_width=16).eval()
        >>> output = detector.decode(detector.encode(torch.zeros(1, 3, 8, 64, 64)))
        >>> tuple(output.mask_logits.shape), tuple(output.class_maps.shape)
        ((1, 8, 64, 64), (1, 6, 8, 8, 8))
    """

    def __init__(self, num_classes: int, width: float = 1.0, pyramid_width: int = 64, dropout: float = 0.2) -> None:
        super().__init__()
        if pyramid_width % 16:
            raise ValueError(f"pyramid_width is {pyramid_width}, expected a multiple of 16")
        self.encoder = I3D(TAPS[-1], width=width, taps=TAPS)
        channels = [self.encoder.channels_of(tap) for tap in TAPS]
        self.head = PyramidHead(channels, num_classes, pyramid_width, pyramid_width // 2, dropout)

    def check_input(self, clip_frames: int, input_size: int) -> None:
        """Refuses clips whose length or size I3D cannot halve as often as it does.

        Raises:
            ValueError: `clip_frames` is no multiple of 4, or `input_size` none of 16.
        """
        if clip_frames % TIME_STRIDE:
            raise ValueError(f"clip_frames is {clip_frames}, expected a multiple of {TIME_STRIDE}")
        if input_size % SPACE_STRIDE:
            raise ValueError(f"input_size is {input_size}, expected a multiple of {SPACE_STRIDE}")

    def encode(self, clips: Tensor) -> Features:
        """The taps of I3D, (N, t, channels, h, w) each; `clips` as in `Detector.encode`."""
        return self.adapt(self.encoder(clips))

    def adapt(self, features: Features) -> Features:
        """Puts time before the channels; see `detectors.feature_cache`."""
        return tuple(tap.transpose(1, 2) for tap in features)

    def decode(self, features: Features) -> DetectorOutput:
        """Foreground maps, class maps and latent; see `PyramidHead`."""
        return self.head(features, num_frames=FIRST_TIME_STRIDE * features[0].shape[1])

    def forward(self, clips: Tensor) -> DetectorOutput:
        """One pass: ``decode(encode(clips))``."""
        return self.decode(self.encode(clips))
