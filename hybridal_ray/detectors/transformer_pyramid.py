"""A video transformer under the head that tells several actors of one clip apart.

A plain transformer has one map, at 1/16. The finer levels are made from it by deconvolutions, as in the simple feature
pyramid of ViTDet (Li et al., "Exploring Plain Vision Transformer Backbones for Object Detection", ECCV 2022); here
each level goes on from the coarser one and not from the first map, and there is one at 1/2 besides.
"""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.pyramid import GROUPS, PyramidHead, by_clip
from hybridal_ray.detectors.video_transformer import STRIDE, VideoTransformer, settled_config

Features = tuple[Tensor, ...]


class TransformerPyramid(nn.Module):
    """VideoMAE or V-JEPA 2, deconvolutions to 1/8, 1/4 and 1/2, and `PyramidHead`.

    The levels have a moment for every tubelet (2 frames in all published models); the head interpolates them to T.

    Args:
        num_classes: C.
        config: Architecture of the encoder: a mapping with ``model_type`` and fields, or a directory with a
            ``config.json``; see `settled_config`. Weights are fresh: ``encoder.load_pretrained`` reads others.
        pyramid_width: Channels of the pyramid at 1/4, 1/8 and 1/16, a multiple of 16; at 1/2 it has half of them.
        dropout: Rate of the channel dropout in front of the pyramid and of the class head, in [0, 1).

    Raises:
        ValueError: The `transformers` library is not installed, or an argument is out of its range.

    Example:
        >>> config = {"model_type": "videomae", "hidden_size": 768, "num_hidden_layers": 12}
        >>> detector = TransformerPyramid(num_classes=24, config=config)  # doctest: +SKIP
    """

    def __init__(
        self, num_classes: int, config: Mapping[str, Any] | str, pyramid_width: int = 64, dropout: float = 0.2
    ) -> None:
        super().__init__()
        if pyramid_width % 16:
            raise ValueError(f"pyramid_width is {pyramid_width}, expected a multiple of 16")
        self.encoder = VideoTransformer(config)
        finest_width, coarsest = pyramid_width // 2, self.encoder.channels
        level_channels = (finest_width, pyramid_width, 2 * pyramid_width, coarsest)
        self.neck = nn.ModuleList(
            _deconvolution(before, after)
            for before, after in zip(level_channels[:0:-1], level_channels[-2::-1], strict=True)
        )
        self.head = PyramidHead(level_channels, num_classes, pyramid_width, finest_width, dropout)

    @staticmethod
    def settled_options(options: Mapping[str, Any]) -> dict[str, Any]:
        """The options with the architecture written out in them; see `settled_spec`."""
        return {**options, "config": settled_config(options["config"])} if "config" in options else dict(options)

    def check_input(self, clip_frames: int, input_size: int) -> None:
        """Refuses clips that do not divide into tubelets and patches.

        Raises:
            ValueError: `clip_frames` is no multiple of the tubelet's, or `input_size` none of 16.
        """
        if clip_frames % self.encoder.tubelet_frames:
            raise ValueError(f"clip_frames is {clip_frames}, expected a multiple of {self.encoder.tubelet_frames}")
        if input_size % STRIDE:
            raise ValueError(f"input_size is {input_size}, expected a multiple of {STRIDE}")

    def encode(self, clips: Tensor) -> Features:
        """The pyramid's four levels, (N, t, channels, h, w) each; `clips` as in `Detector.encode`."""
        return self.adapt(self.encoder(clips))

    def adapt(self, features: Tensor) -> Features:
        """The deconvolutions, which are trained though the encoder be frozen; see `detectors.feature_cache`."""
        levels = [features]
        for deconvolution in self.neck:
            levels.insert(0, by_clip(deconvolution(levels[0].flatten(0, 1)), len(features)))
        return tuple(levels)

    def decode(self, features: Features) -> DetectorOutput:
        """Foreground maps, class maps and latent; see `PyramidHead`."""
        return self.head(features, num_frames=self.encoder.tubelet_frames * features[0].shape[1])

    def forward(self, clips: Tensor) -> DetectorOutput:
        """One pass: ``decode(encode(clips))``."""
        return self.decode(self.encode(clips))


def _deconvolution(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(before, after, kernel_size=2, stride=2), nn.GroupNorm(GROUPS, after), nn.GELU()
    )
