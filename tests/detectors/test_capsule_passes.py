"""Oracle: the plain `decode` of VideoCapsuleNet, pass by pass, with the same generators."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch

from hybridal_ray.detectors import capsule_passes
from hybridal_ray.detectors.capsule_passes import CapsulePasses
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.detectors.monte_carlo import DecodesPasses, monte_carlo_passes, pass_decoder, video_pass_seeds
from hybridal_ray.detectors.video_capsule_net import VideoCapsuleNet

PASSES = 3


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    torch.set_grad_enabled(False)
    yield
    torch.set_grad_enabled(True)


def make_detector(seed: int, **options: Any) -> VideoCapsuleNet:
    """With random weights of the size that trained ones have, so that masks matter, and no two classes alike."""
    torch.manual_seed(seed)
    detector = VideoCapsuleNet(num_classes=3, capsule_types=4, **options).eval()
    for parameter in detector.parameters():
        if parameter.dim() == 1:
            parameter.add_(0.1 * torch.randn_like(parameter))  # biases that are not 0
    detector.class_capsules.benefits += torch.tensor([0.0, 8.0, 4.0])
    return detector


def one_by_one(detector: VideoCapsuleNet, features: tuple[torch.Tensor, ...], seeds: Sequence[int]) -> DetectorOutput:
    outputs = []
    for number, seed in enumerate(seeds):
        clip = tuple(feature[number // PASSES, None] for feature in features)
        with seeded_dropout(detector, [torch.Generator().manual_seed(seed)]):
            outputs.append(detector.decode(clip))  # a plain tuple will do
    joined = (torch.cat([getattr(o, name) for o in outputs]) for name in ("mask_logits", "class_scores", "latent"))
    return DetectorOutput(*joined)


def together(decoder: CapsulePasses, features: Any, seeds: Sequence[int]) -> DetectorOutput:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return decoder(features, [generators[n : n + PASSES] for n in range(0, len(seeds), PASSES)])


def assert_alike(found: DetectorOutput, expected: DetectorOutput, atol: float) -> None:
    most_active = expected.class_scores.sort(dim=1).values
    assert (most_active[:, -1] - most_active[:, -2]).min() > 0.01  # or rounding might choose the class that is drawn
    for name in ("mask_logits", "class_scores", "latent"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=atol, rtol=0)


@pytest.mark.parametrize(
    ("width", "size", "clips"), [(0.125, 80, 2), (0.125, 96, 1), (0.25, 80, 1), (0.0625, 112, 2), (0.125, 224, 1)]
)
def test_passes_are_those_of_decode(width: float, size: int, clips: int) -> None:
    detector = make_detector(int(1000 * width) + size, width=width)
    features = detector.encode(torch.rand(clips, 3, 8, size, size) * 2 - 1)
    seeds = range(clips * PASSES)
    expected = one_by_one(detector, features, seeds)
    assert expected.mask_logits.unflatten(0, (clips, PASSES)).std(dim=1).mean() > 1e-3  # the masks make a difference
    assert_alike(together(CapsulePasses(detector), features, seeds), expected, atol=1e-4)


def test_in_double_precision_only_the_routing_is_left_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # the routing rounds to single precision
    detector = make_detector(1, width=0.125).double()
    features = detector.encode(torch.rand(1, 3, 8, 96, 96, dtype=torch.float64) * 2 - 1)
    expected = one_by_one(detector, features, range(PASSES))
    assert expected.mask_logits.dtype == torch.float64
    assert_alike(together(CapsulePasses(detector), features, range(PASSES)), expected, atol=1e-9)


def test_one_decoder_takes_clips_of_several_sizes_in_several_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capsule_passes, "CPU_PASSES_AT_ONCE", 2)  # 3 passes: a whole batch and a part of one
    monkeypatch.setattr(capsule_passes, "CPU_POSITIONS_AT_ONCE", 7)
    detector = make_detector(2, width=0.125)
    decoder = CapsulePasses(detector)
    for size in (80, 104, 80):
        features = detector.encode(torch.rand(1, 3, 8, size, size) * 2 - 1)
        expected = one_by_one(detector, features, range(PASSES))
        assert_alike(together(decoder, features, range(PASSES)), expected, atol=1e-4)


def test_without_dropout_all_passes_are_the_one_of_decode() -> None:
    detector = make_detector(3, width=0.125, dropout=0.0)
    features = detector.encode(torch.rand(1, 3, 8, 80, 80) * 2 - 1)
    expected = one_by_one(detector, features, range(PASSES))
    assert_alike(together(CapsulePasses(detector), features, range(PASSES)), expected, atol=1e-4)


def test_monte_carlo_takes_the_fast_way_and_finds_the_same() -> None:
    detector = make_detector(4, width=0.125)
    assert isinstance(detector, DecodesPasses)
    assert isinstance(pass_decoder(detector), CapsulePasses)
    clips = torch.rand(2, 3, 8, 80, 80) * 2 - 1
    found = monte_carlo_passes(detector, clips, video_pass_seeds(0, 0, "video", 2, PASSES))
    plain = one_by_one(
        detector, detector.encode(clips), [int(seed) for seed in video_pass_seeds(0, 0, "video", 2, PASSES).ravel()]
    )
    expected = plain.mask_logits.sigmoid().unflatten(0, (2, PASSES))
    torch.testing.assert_close(found.mask_probabilities, expected, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.latents, plain.latent.unflatten(0, (2, PASSES)).mean(dim=1), atol=1e-4, rtol=0)


def test_it_runs_under_autocast() -> None:
    detector = make_detector(5, width=0.125)
    clips, seeds = torch.rand(1, 3, 8, 80, 80) * 2 - 1, video_pass_seeds(0, 0, "video", 1, PASSES)
    exact = monte_carlo_passes(detector, clips, seeds)
    with torch.autocast("cpu", torch.bfloat16):
        rough = monte_carlo_passes(detector, clips, seeds)
    torch.testing.assert_close(rough.mask_probabilities, exact.mask_probabilities, atol=0.05, rtol=0)
