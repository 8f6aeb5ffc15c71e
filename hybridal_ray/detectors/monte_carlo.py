"""Monte Carlo Dropout: R stochastic passes over a clip, the same ones wherever and in whatever order they run.

Gal and Ghahramani, "Dropout as a Bayesian Approximation", ICML 2016.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hybridal_ray.detectors.dropout import ChannelDropout, seeded_dropout
from hybridal_ray.detectors.interface import Detector, DetectorOutput

Seeds = npt.NDArray[np.uint64]
Generators = Sequence[Sequence[torch.Generator]]

# Measured with the compact detector on one core: 10 passes over a clip of 224 × 224 take 0.73 s in one batch, which
# leaves the caches, and 0.45 s by twos. GPUs want large batches.
PASSES_AT_ONCE = {"cpu": 2}


@dataclass(frozen=True)
class MonteCarloPasses:
    """R passes over N clips.

    Attributes:
        mask_probabilities: (N, R, T, H, W), float32 in [0, 1].
        latents: (N, D), mean of the passes' latents.
        class_probabilities: (N, C), mean over the passes of the softmax of their class scores.
    """

    mask_probabilities: Tensor
    latents: Tensor
    class_probabilities: Tensor


class PassDecoder(Protocol):
    """Decodes each of some clips R times, with another dropout mask each time."""

    def __call__(self, features: Any, generators: Generators) -> DetectorOutput:
        """Does what ``decode`` does inside `seeded_dropout`, each clip once for each of its generators.

        Every `ChannelDropout` draws the same mask from a generator as there, and the layers draw in the same order.

        Args:
            features: Of N clips, as ``encode`` returns them.
            generators: N rows of R.

        Returns:
            Of N·R clips, the passes of a clip side by side; equal to those of ``decode`` up to rounding.
        """
        ...


@runtime_checkable
class DecodesPasses(Protocol):
    """A detector that has a faster way to decode a clip many times than to do it many times."""

    def pass_decoder(self) -> PassDecoder:
        """That way. What it prepares from the weights it prepares once, so they must not change while it is used."""
        ...


def pass_decoder(detector: nn.Module) -> PassDecoder:
    """The fastest way that a detector has to decode its features R times; the plain one for most.

    Args:
        detector: A `Detector`, in evaluation mode, on its device.
    """
    if isinstance(detector, DecodesPasses):
        return detector.pass_decoder()
    return functools.partial(_decode_repeated, detector)


def pass_seed(run_seed: int, round_index: int, video_id: str, clip: int, pass_index: int) -> int:
    """The seed of one pass over one clip: a stable hash of what identifies it, and of nothing else.

    Returns:
        An integer in [0, 2^63), as `torch.Generator.manual_seed` takes it.
    """
    identity = f"{run_seed}/{round_index}/{clip}/{pass_index}/{video_id}".encode()
    return int.from_bytes(hashlib.blake2b(identity, digest_size=8).digest(), "big") >> 1


def video_pass_seeds(run_seed: int, round_index: int, video_id: str, clips: int, passes: int) -> Seeds:
    """The seeds of all passes over a video's clips, (clips, passes)."""
    seeds = [
        [pass_seed(run_seed, round_index, video_id, clip, index) for index in range(passes)] for clip in range(clips)
    ]
    return np.array(seeds, dtype=np.uint64).reshape(clips, passes)


@torch.inference_mode()
def monte_carlo_passes(
    detector: nn.Module, clips: Tensor, seeds: Seeds, decoder: PassDecoder | None = None
) -> MonteCarloPasses:
    """Runs R passes with dropout over each clip.

    A detector with `encode` and `decode` whose dropout is `ChannelDropout` is encoded once and decoded by its
    `pass_decoder`; any other module runs whole, pass by pass, under torch's generator seeded for each.

    Args:
        detector: In evaluation mode; called on its own device.
        clips: (N, 3, T, H, W), on the detector's device.
        seeds: (N, R), from `pass_seed`.
        decoder: The detector's `pass_decoder`, where one is kept from batch to batch; None makes one.

    Returns:
        The probabilities and latents of the passes.
    """
    return passes_over_features(detector, encode_once(detector, clips), seeds, decoder)


@torch.inference_mode()
def encode_once(detector: nn.Module, clips: Tensor) -> Any:
    """What the passes over clips have in common: what ``encode`` returns, the clips themselves where there is none."""
    splits: Any = detector
    return splits.encode(clips) if isinstance(detector, Detector) else clips


@torch.inference_mode()
def passes_over_features(
    detector: nn.Module, features: Any, seeds: Seeds, decoder: PassDecoder | None = None
) -> MonteCarloPasses:
    """The passes of `monte_carlo_passes` over clips that are encoded already.

    Args:
        detector: In evaluation mode.
        features: Of N clips, as `encode_once` returns them.
        seeds: (N, R), from `pass_seed`.
        decoder: As in `monte_carlo_passes`.
    """
    splits: Any = detector
    if not isinstance(detector, Detector):
        return _pass_by_pass(detector, lambda n: detector(features[n : n + 1]), seeds)
    if _torch_dropouts(detector):
        return _pass_by_pass(detector, lambda n: splits.decode(clips_of(features, slice(n, n + 1))), seeds)
    generators = [[torch.Generator().manual_seed(int(seed)) for seed in row] for row in seeds]
    output = (decoder or pass_decoder(detector))(features, generators)
    probabilities = output.mask_logits.float().sigmoid().unflatten(0, seeds.shape)
    latents = output.latent.float().unflatten(0, seeds.shape).mean(dim=1)
    classes = output.class_scores.float().softmax(dim=1).unflatten(0, seeds.shape).mean(dim=1)
    return MonteCarloPasses(probabilities, latents, classes)


def clips_of(features: Any, some: slice) -> Any:
    """The features of some clips, in the form in which ``encode`` returns those of all."""
    if isinstance(features, Tensor):
        return features[some]
    return tuple(clips_of(feature, some) for feature in features)


def _decode_repeated(detector: Any, features: Any, generators: Generators) -> DetectorOutput:
    """The plain way of a `PassDecoder`: ``decode`` itself, some passes at a time."""
    device = next((parameter.device for parameter in detector.parameters()), torch.device("cpu"))
    flat = [(n, generator) for n, row in enumerate(generators) for generator in row]
    at_once = PASSES_AT_ONCE.get(device.type, len(flat))
    outputs = []
    for first in range(0, len(flat), at_once):
        clips, some = zip(*flat[first : first + at_once], strict=True)
        with seeded_dropout(detector, some):
            outputs.append(detector.decode(_repeat(features, torch.tensor(clips, device=device))))
    maps = [output.class_maps for output in outputs if output.class_maps is not None]
    return DetectorOutput(
        mask_logits=torch.cat([output.mask_logits for output in outputs]),
        class_scores=torch.cat([output.class_scores for output in outputs]),
        latent=torch.cat([output.latent for output in outputs]),
        class_maps=torch.cat(maps) if maps else None,
    )


def _repeat(features: Any, clips: Tensor) -> Any:
    """The features of the clips with these numbers, one after the other."""
    if isinstance(features, Tensor):
        return features[clips]
    return tuple(_repeat(feature, clips) for feature in features)


def _pass_by_pass(detector: nn.Module, run: Callable[[int], DetectorOutput], seeds: Seeds) -> MonteCarloPasses:
    layers = [*_torch_dropouts(detector), *(m for m in detector.modules() if isinstance(m, ChannelDropout))]
    device = next((parameter.device for parameter in detector.parameters()), torch.device("cpu"))
    probabilities, latents, classes = [], [], []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        for layer in layers:
            layer.train()
        try:
            for n, row in enumerate(seeds):
                outputs = []
                for seed in row:
                    torch.manual_seed(int(seed))
                    outputs.append(run(n))
                probabilities.append(torch.cat([o.mask_logits.float().sigmoid() for o in outputs]))
                latents.append(torch.cat([o.latent.float() for o in outputs]).mean(dim=0))
                classes.append(torch.cat([o.class_scores.float().softmax(dim=1) for o in outputs]).mean(dim=0))
        finally:
            for layer in layers:
                layer.eval()
    return MonteCarloPasses(torch.stack(probabilities), torch.stack(latents), torch.stack(classes))


def _torch_dropouts(detector: nn.Module) -> list[nn.Module]:
    kinds = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
    return [layer for layer in detector.modules() if isinstance(layer, kinds)]
