"""Oracles: shapes from the interface, a loop over channels and frames for the shift, permuted clips for leaks."""

import pytest
import torch

from hybridal_ray.detectors.compact import CompactDetector, _shift_along_time
from hybridal_ray.detectors.dropout import ChannelDropout, seeded_dropout
from hybridal_ray.detectors.interface import Detector
from hybridal_ray.training.losses.actor_class import actor_class_loss
from hybridal_ray.training.losses.bce import weighted_bce


def small(num_classes: int = 3, **options: float) -> CompactDetector:
    torch.manual_seed(0)
    return CompactDetector(num_classes, **{"width": 8, "pyramid_width": 8, **options})


@pytest.mark.parametrize(
    ("clips", "frames", "height", "width", "num_classes"),
    [(1, 8, 64, 64, 6), (2, 1, 32, 48, 1), (3, 5, 96, 32, 24), (1, 4, 32, 32, 2)],
)
def test_shapes(clips: int, frames: int, height: int, width: int, num_classes: int) -> None:
    detector = small(num_classes).eval()
    output = detector(torch.zeros(clips, 3, frames, height, width))
    assert output.mask_logits.shape == (clips, frames, height, width)
    assert output.class_scores.shape == (clips, num_classes)
    assert output.class_maps is not None
    assert output.class_maps.shape[:3] == (clips, num_classes, frames)
    assert output.latent.dim() == 2
    assert len(output.latent) == clips
    assert all(torch.isfinite(t).all() for t in (output.mask_logits, output.class_scores, output.latent))


def test_it_is_a_detector_whose_encoder_has_no_dropout() -> None:
    detector = small(dropout=0.9).train()
    assert isinstance(detector, Detector)
    clips = torch.randn(2, 3, 4, 32, 32)
    for one, other in zip(detector.encode(clips), detector.encode(clips), strict=True):
        assert torch.equal(one, other)
    features = detector.encode(clips)
    assert not torch.equal(detector.decode(features).mask_logits, detector.decode(features).mask_logits)
    assert not torch.equal(detector.decode(features).class_scores, detector.decode(features).class_scores)
    detector.eval()
    assert torch.equal(detector.decode(features).mask_logits, detector(clips).mask_logits)


def test_dropout_moves_mask_class_and_latent() -> None:
    detector = small(dropout=0.5).eval()
    assert sum(isinstance(layer, ChannelDropout) for layer in detector.modules()) > 0
    clips = torch.randn(1, 3, 4, 32, 32)
    with seeded_dropout(detector, [torch.Generator().manual_seed(0)]):
        dropped = detector(clips)
    kept = detector(clips)
    for name in ("mask_logits", "class_scores", "latent"):
        assert not torch.allclose(getattr(dropped, name), getattr(kept, name))


@pytest.mark.parametrize("actors", [0, 2])
def test_every_parameter_gets_a_gradient_with_and_without_actors(actors: int) -> None:
    # Under DDP a parameter without a gradient on one worker would stop all of them.
    detector = small().train()
    output = detector(torch.randn(2, 3, 4, 32, 32))
    instances = torch.zeros(2, 4, 32, 32, dtype=torch.uint8)
    if actors:
        instances[:, :, 4:20, 4:20], instances[:, :, 20:30, 20:30] = 1, 2
    weights = torch.ones(2, 4, 32, 32)
    classes = torch.tensor([[0, 1], [2, -1]])[:, :actors]
    loss = weighted_bce(output.mask_logits, (instances > 0).float(), weights)
    (loss + actor_class_loss(output, instances, weights, classes)).backward()
    without = [name for name, parameter in detector.named_parameters() if parameter.grad is None]
    assert without == []
    if actors:
        assert all(parameter.grad.abs().sum() > 0 for parameter in detector.parameters())


def test_the_class_loss_does_not_move_the_mask() -> None:
    detector = small().train()
    detector(torch.randn(1, 3, 2, 32, 32)).class_scores.sum().backward()
    assert detector.head.mask_head.weight.grad is None


def test_channels_are_shifted_along_time_as_in_a_loop() -> None:
    clips, frames, channels = 2, 4, 9
    features = torch.randn(clips, frames, channels, 2, 3)
    expected = torch.zeros_like(features)
    quarter = channels // 4
    for clip in range(clips):
        for t in range(frames):
            for c in range(channels):
                origin = t - 1 if c < quarter else t + 1 if c < 2 * quarter else t
                if 0 <= origin < frames:
                    expected[clip, t, c] = features[clip, origin, c]
    shifted = _shift_along_time(features.flatten(0, 1), clips)
    assert torch.equal(shifted.unflatten(0, (clips, frames)), expected)


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    detector = small().eval()
    clips = torch.randn(3, 3, 4, 32, 32)
    together = detector(clips)
    for n in range(3):
        alone = detector(clips[n : n + 1])
        for name in ("mask_logits", "class_scores", "latent", "class_maps"):
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[n], atol=1e-5, rtol=1e-4)


def test_time_is_seen() -> None:
    detector = small().eval()
    clip = torch.randn(1, 3, 4, 32, 32)
    backwards = detector(clip.flip(2))
    assert not torch.allclose(backwards.class_scores, detector(clip).class_scores, atol=1e-4)
    assert not torch.allclose(backwards.mask_logits.flip(1), detector(clip).mask_logits, atol=1e-4)


@pytest.mark.parametrize("options", [{"dropout": 1.0}, {"dropout": -0.1}, {"width": 12}, {"pyramid_width": 20}])
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        CompactDetector(num_classes=2, **options)
