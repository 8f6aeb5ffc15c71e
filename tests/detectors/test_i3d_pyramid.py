"""Oracles: the shapes of the interface, clips that are alike but for one, gradients of every parameter."""

import pytest
import torch

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.i3d_pyramid import I3DPyramid
from hybridal_ray.detectors.interface import Detector, DetectorSpec, encoder_of
from hybridal_ray.errors import UserError


@pytest.fixture(scope="module")
def detector() -> I3DPyramid:
    torch.manual_seed(0)
    return I3DPyramid(3, width=0.125, pyramid_width=16, dropout=0.5).eval()


@pytest.mark.parametrize(("clips", "frames", "size"), [(2, 8, 32), (1, 4, 48)])
def test_shapes(detector: I3DPyramid, clips: int, frames: int, size: int) -> None:
    output = detector(torch.randn(clips, 3, frames, size, size))
    assert output.mask_logits.shape == (clips, frames, size, size)
    assert output.class_scores.shape == (clips, 3)
    assert output.class_maps is not None
    assert output.class_maps.shape == (clips, 3, frames, size // 8, size // 8)
    assert torch.isfinite(output.latent).all()


def test_it_is_a_detector_with_an_encoder_whose_taps_are_small(detector: I3DPyramid) -> None:
    assert isinstance(detector, Detector)
    assert encoder_of(detector) is detector.encoder
    features = detector.encoder(torch.randn(1, 3, 8, 32, 32))
    assert [tuple(tap.shape[2:]) for tap in features] == [(4, 16, 16), (4, 8, 8), (4, 4, 4), (2, 2, 2)]


def test_neighbouring_frames_differ_though_the_features_have_half_of_them(detector: I3DPyramid) -> None:
    masks = detector(torch.randn(1, 3, 8, 32, 32)).mask_logits[0]
    assert all(not torch.allclose(masks[t], masks[t + 1], atol=1e-5) for t in range(7))


def test_dropout_lies_in_decode_alone_and_moves_every_output(detector: I3DPyramid) -> None:
    clips = torch.randn(1, 3, 8, 32, 32)
    with seeded_dropout(detector, [torch.Generator().manual_seed(0)]):
        features, dropped = detector.encode(clips), detector(clips)
    assert all(torch.equal(one, other) for one, other in zip(features, detector.encode(clips), strict=True))
    kept = detector(clips)
    for name in ("mask_logits", "class_scores", "latent"):
        assert not torch.allclose(getattr(dropped, name), getattr(kept, name))


def test_every_parameter_gets_a_gradient() -> None:
    torch.manual_seed(0)
    detector = I3DPyramid(2, width=0.125, pyramid_width=16, dropout=0.0).train()
    output = detector(torch.randn(2, 3, 4, 32, 32))
    (output.mask_logits.square().mean() + output.class_scores.square().sum()).backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in detector.parameters())


@pytest.mark.parametrize(
    ("clip_frames", "input_size", "options", "message"),
    [
        (6, 32, {}, "clip_frames is 6, expected a multiple of 4"),
        (8, 40, {}, "input_size is 40, expected a multiple of 16"),
        (8, 32, {"pyramid_width": 24}, "pyramid_width is 24, expected a multiple of 16"),
    ],
)
def test_what_it_cannot_take_is_refused(clip_frames: int, input_size: int, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        build_detector(DetectorSpec("i3d_pyramid", 2, input_size, clip_frames, 2, {"width": 0.125} | options))
