"""Oracles: the published size and cost, single passes for Monte Carlo batches, clips run alone for neighbours."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.dropout import ChannelDropout, seeded_dropout
from hybridal_ray.detectors.interface import ClassConditioned, Detector, DetectorSpec, InputChecked, encoder_of
from hybridal_ray.detectors.monte_carlo import monte_carlo_passes, video_pass_seeds
from hybridal_ray.detectors.video_capsule_net import VideoCapsuleNet
from hybridal_ray.errors import UserError

OUTPUTS = ("mask_logits", "class_scores", "latent")


def small(num_classes: int = 3, **options: float) -> VideoCapsuleNet:
    torch.manual_seed(0)
    return VideoCapsuleNet(num_classes, **{"width": 0.0625, "capsule_types": 4, **options})


def some_clips(number: int, size: int = 80) -> Tensor:
    return torch.randn(number, 3, 8, size, size, generator=torch.Generator().manual_seed(1))


def on_meta() -> tuple[VideoCapsuleNet, FlopCounterMode]:
    with torch.device("meta"):
        detector = VideoCapsuleNet(num_classes=24).eval()
        with FlopCounterMode(display=False, depth=2) as counter:
            output = detector(torch.empty(1, 3, 8, 224, 224))
    assert output.mask_logits.shape == (1, 8, 224, 224)
    assert output.latent.shape == (1, 408)
    return detector, counter


def test_full_width_has_the_size_and_cost_of_the_paper() -> None:
    detector, counter = on_meta()
    assert sum(parameter.numel() for parameter in detector.parameters()) == pytest.approx(49.5e6, rel=0.04)
    assert counter.get_total_flops() == pytest.approx(121e9, rel=0.01)
    cost = {name.removeprefix("VideoCapsuleNet."): sum(of.values()) for name, of in counter.get_flop_counts().items()}
    assert cost["encoder"] == pytest.approx(24e9, rel=0.01)
    assert cost["primary_capsules"] == pytest.approx(29e9, rel=0.02)
    assert cost["to_full"] == pytest.approx(44e9, rel=0.02)
    assert cost["half_skip"] == pytest.approx(11e9, rel=0.02)


def test_no_skip_is_computed_again_for_a_pass() -> None:
    with torch.device("meta"):
        detector = VideoCapsuleNet(num_classes=24).eval()
        features = detector.encode(torch.empty(1, 3, 8, 224, 224))
        with FlopCounterMode(display=False) as counter:
            detector.decode(features)
    assert counter.get_total_flops() == pytest.approx(121.2e9 - 23.9e9 - 11.1e9 - 4.2e9, rel=0.01)


@pytest.mark.parametrize(("size", "num_classes"), [((80, 80), 3), ((112, 96), 1), ((88, 80), 24)])
def test_shapes(size: tuple[int, int], num_classes: int) -> None:
    output = small(num_classes).eval()(torch.zeros(2, 3, 8, *size))
    assert output.mask_logits.shape == (2, 8, *size)
    assert output.class_scores.shape == (2, num_classes)
    assert output.latent.shape == (2, 17 * num_classes)
    assert output.latent.dtype == torch.float32
    assert output.class_maps is None
    assert all(torch.isfinite(getattr(output, name)).all() for name in OUTPUTS)


def test_it_keeps_the_promises_of_the_interface() -> None:
    detector = small(dropout=0.5).train()
    assert isinstance(detector, Detector)
    assert isinstance(detector, ClassConditioned)
    assert isinstance(detector, InputChecked)
    assert encoder_of(detector) is detector.encoder
    clips = some_clips(2)
    features = detector.encode(clips)
    for one, other in zip(features, detector.encode(clips), strict=True):
        assert torch.equal(one, other)
    for name in OUTPUTS:
        assert not torch.equal(getattr(detector.decode(features), name), getattr(detector.decode(features), name))
    assert not any(isinstance(layer, ChannelDropout) for layer in detector.encoder.modules())
    detector.eval()
    features = detector.encode(clips)
    assert torch.equal(detector.decode(features).mask_logits, detector(clips).mask_logits)


def test_latent_and_scores_are_read_off_the_class_capsules() -> None:
    detector = small().eval()
    captured = []
    detector.class_capsules.register_forward_hook(lambda _module, _inputs, outputs: captured.append(outputs))
    output = detector(some_clips(2, 96))
    poses, logits = (tensor.numpy(force=True) for tensor in captured[0])
    activations = 1.0 / (1.0 + np.exp(-logits))
    for n in range(2):
        scores = output.class_scores[n].sigmoid().numpy(force=True)
        np.testing.assert_allclose(scores, [activations[n, c].mean() for c in range(3)], rtol=1e-4)
        largest = [poses[n, c, h].max() for c in range(3) for h in range(16)]
        expected = largest + [activations[n, c].max() for c in range(3)]
        np.testing.assert_allclose(output.latent[n].numpy(force=True), expected, rtol=1e-4)


def test_the_map_is_drawn_for_the_class_asked_for() -> None:
    detector = small().eval()
    clips = some_clips(3)
    drawn = [detector(clips, torch.full((3,), c)).mask_logits for c in range(3)]
    assert not torch.allclose(drawn[0], drawn[1])
    free = detector(clips)
    for n, best in enumerate(free.class_scores.argmax(dim=1)):
        torch.testing.assert_close(free.mask_logits[n], drawn[int(best)][n])
    mixed = detector(clips, torch.tensor([2, -1, 0]))
    torch.testing.assert_close(mixed.mask_logits[0], drawn[2][0])
    torch.testing.assert_close(mixed.mask_logits[1], free.mask_logits[1])
    torch.testing.assert_close(mixed.mask_logits[2], drawn[0][2])
    for name in ("class_scores", "latent"):  # neither may leak the label
        assert torch.equal(getattr(mixed, name), getattr(free, name))


def test_monte_carlo_passes_are_those_of_a_loop_over_single_passes() -> None:
    detector = small(dropout=0.5).eval()
    clips = some_clips(2)
    seeds = video_pass_seeds(run_seed=3, round_index=1, video_id="v", clips=2, passes=3)
    passes = monte_carlo_passes(detector, clips, seeds)
    for n in range(2):
        latents = []
        for k in range(3):
            with seeded_dropout(detector, [torch.Generator().manual_seed(int(seeds[n, k]))]), torch.inference_mode():
                output = detector(clips[n : n + 1])
            expected = output.mask_logits.sigmoid()[0]
            torch.testing.assert_close(passes.mask_probabilities[n, k], expected, atol=1e-4, rtol=1e-3)
            latents.append(output.latent[0])
        torch.testing.assert_close(passes.latents[n], torch.stack(latents).mean(dim=0), atol=1e-4, rtol=1e-3)
    assert passes.mask_probabilities.std(dim=1).max() > 0


def test_clips_of_a_batch_do_not_see_each_other() -> None:
    detector = small().eval()
    clips = some_clips(3)
    together = detector(clips)
    for n in range(3):
        alone = detector(clips[n : n + 1])
        for name in OUTPUTS:
            torch.testing.assert_close(getattr(alone, name)[0], getattr(together, name)[n], atol=1e-4, rtol=1e-3)


def test_every_parameter_gets_a_finite_gradient() -> None:
    detector = small().train()
    output = detector(some_clips(2), torch.tensor([0, -1]))
    (output.mask_logits.sigmoid().mean() + output.class_scores.sigmoid().sum() + output.latent.mean()).backward()
    for name, parameter in detector.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert detector.encoder.get_submodule("Conv3d_1a_7x7.conv3d").weight.grad.abs().sum() > 0


def test_half_precision_is_finite_and_close() -> None:
    detector = small().train()
    clips = some_clips(2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = detector(clips, torch.tensor([0, 1]))
        loss = output.mask_logits.float().sigmoid().mean() + output.class_scores.sigmoid().sum()
    loss.backward()
    assert output.latent.dtype == output.class_scores.dtype == torch.float32
    assert all(torch.isfinite(parameter.grad).all() for parameter in detector.parameters())
    detector.eval()
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = detector(clips)
    with torch.inference_mode():
        full = detector(clips)
    assert (half.mask_logits.float().sigmoid() - full.mask_logits.sigmoid()).abs().mean() < 0.02


def test_statistics_are_fixed_in_evaluation() -> None:
    detector = small().eval()
    norms = [layer for layer in detector.modules() if isinstance(layer, nn.BatchNorm3d)]
    before = [layer.running_mean.clone() for layer in norms]
    detector(some_clips(2))
    assert all(torch.equal(layer.running_mean, mean) for layer, mean in zip(norms, before, strict=True))
    detector.train()(some_clips(2))
    assert not any(torch.equal(layer.running_mean, mean) for layer, mean in zip(norms, before, strict=True))


@pytest.mark.parametrize(
    ("frames", "size", "named"), [(16, 224, "clip_frames"), (8, 100, "input_size"), (8, 72, "input_size")]
)
def test_clips_it_cannot_take_are_refused(frames: int, size: int, named: str) -> None:
    spec = DetectorSpec("capsules", 3, size, frames, 2, {"width": 0.0625})
    with pytest.raises(UserError, match=named):
        build_detector(spec)


def test_the_smallest_clip_it_takes_runs() -> None:
    spec = DetectorSpec("capsules", 2, 80, 8, 2, {"width": 0.0625, "capsule_types": 2})
    assert build_detector(spec).eval()(torch.zeros(1, 3, 8, 80, 80)).mask_logits.shape == (1, 8, 80, 80)


@pytest.mark.parametrize(
    "options", [{"dropout": 1.0}, {"dropout": -0.1}, {"width": 0.0}, {"capsule_types": 0}, {"routing_iterations": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        small(**options)
