"""Oracles: torch's `Dropout3d` for what training does on average, and one clip alone for what seeds do in a batch."""

import pytest
import torch
from torch import nn

from hybridal_ray.detectors.dropout import ChannelDropout, seeded_dropout


def generators(*seeds: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in seeds]


def test_it_is_the_identity_in_evaluation() -> None:
    features = torch.randn(2, 3, 4)
    assert ChannelDropout(0.5).eval()(features) is features
    assert ChannelDropout(0.0).train()(features) is features


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_a_channel_is_dropped_as_often_as_asked_and_the_mean_is_kept(rate: float) -> None:
    torch.manual_seed(0)
    dropped = ChannelDropout(rate).train()(torch.ones(200, 100))
    assert dropped.unique().tolist() == pytest.approx([0.0, 1 / (1 - rate)])
    deviation = (rate * (1 - rate) / dropped.numel()) ** 0.5
    assert (dropped == 0).double().mean().item() == pytest.approx(rate, abs=5 * deviation)


def test_a_mask_holds_over_all_frames_and_pixels_of_a_channel_as_in_dropout3d() -> None:
    features = torch.ones(4, 16, 3, 5, 6)
    for layer in (ChannelDropout(0.5), nn.Dropout3d(0.5)):
        torch.manual_seed(1)
        by_channel = layer.train()(features).flatten(2)
        assert (by_channel == by_channel[..., :1]).all()
        assert len(by_channel[..., 0].unique()) == 2


def test_training_draws_from_torchs_own_generator_anew_each_time() -> None:
    layer, features = ChannelDropout(0.5).train(), torch.ones(4, 64)
    torch.manual_seed(3)
    first, second = layer(features), layer(features)
    torch.manual_seed(3)
    assert torch.equal(layer(features), first)
    assert not torch.equal(first, second)


def test_the_mask_of_a_clip_does_not_hang_on_its_batch() -> None:
    layer, features = ChannelDropout(0.5).eval(), torch.randn(3, 64, 2, 2)
    with seeded_dropout(layer, generators(7, 8, 9)):
        together = [layer(features), layer(features)]  # two draws of each generator
    for clip, seed in enumerate((7, 8, 9)):
        with seeded_dropout(layer, generators(seed)):
            for drawn in together:
                assert torch.equal(layer(features[clip : clip + 1]), drawn[clip : clip + 1])
    assert not torch.equal(together[0], together[1])


def test_seeded_masks_are_dropped_as_often_as_asked_and_leave_torchs_generator_alone() -> None:
    layer = ChannelDropout(0.3).eval()
    state = torch.get_rng_state()
    with seeded_dropout(layer, generators(*range(100))):
        dropped = layer(torch.ones(100, 200)) == 0
    assert torch.equal(torch.get_rng_state(), state)
    assert dropped.double().mean().item() == pytest.approx(0.3, abs=5 * (0.21 / 20_000) ** 0.5)


def test_seeding_reaches_nested_layers_and_ends_with_the_block_even_after_an_error() -> None:
    module = nn.Sequential(nn.Sequential(ChannelDropout(0.5)), ChannelDropout(0.5)).eval()
    features = torch.ones(1, 64)
    with seeded_dropout(module, generators(1)):
        assert module(features).unique().tolist() == [0.0, 4.0]
    assert torch.equal(module(features), features)
    with pytest.raises(RuntimeError), seeded_dropout(module, generators(1)):
        module(torch.ones(3, 64))  # one generator for three clips
    assert torch.equal(module(features), features)


def test_gradients_are_those_of_the_kept_channels() -> None:
    layer = ChannelDropout(0.5).eval()
    features = torch.ones(2, 8, 3, requires_grad=True)
    with seeded_dropout(layer, generators(1, 2)):
        output = layer(features)
    output.sum().backward()
    assert torch.equal(features.grad, output.detach())  # of ones, each is its own factor


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_mask_alone_is_what_the_layer_multiplies_with(rate: float) -> None:
    layer = ChannelDropout(rate).eval()
    features = torch.rand(2, 16, 3, 4) + 0.5
    with seeded_dropout(layer, generators(5, 6)):
        dropped = layer(features)
    with seeded_dropout(layer, generators(5, 6)):
        mask = layer.draw_mask(2, 16, like=features)
    assert mask.unique().tolist() == ([0.0, 2.0] if rate else [1.0])
    torch.testing.assert_close(dropped, features * mask.view(2, 16, 1, 1), atol=0, rtol=0)
