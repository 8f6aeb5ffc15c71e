"""Oracles: R single passes with the same seeds, torch's own dropout seeded by hand, a hash computed elsewhere."""

import numpy as np
import pytest
import torch
from whole_detector import SplitDetector, WholeDetector

from hybridal_ray.detectors import monte_carlo
from hybridal_ray.detectors.compact import CompactDetector
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.monte_carlo import monte_carlo_passes, pass_decoder, pass_seed, video_pass_seeds

SEEDS = video_pass_seeds(5, 1, "video", clips=3, passes=4)


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.rand(3, 3, 4, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.fixture
def compact() -> CompactDetector:
    torch.manual_seed(1)
    return CompactDetector(num_classes=3, width=8, pyramid_width=8, dropout=0.5).eval()


def test_r_passes_are_r_single_passes_with_the_same_seeds(compact: CompactDetector, clips: torch.Tensor) -> None:
    passes = monte_carlo_passes(compact, clips, SEEDS)
    assert passes.mask_probabilities.shape == (3, 4, 4, 32, 32)
    for n in range(3):
        latents = []
        for r in range(4):
            generator = torch.Generator().manual_seed(int(SEEDS[n, r]))
            with torch.no_grad(), seeded_dropout(compact, [generator]):
                single = compact(clips[n : n + 1])
            probabilities = 1 / (1 + torch.exp(-single.mask_logits[0]))
            torch.testing.assert_close(passes.mask_probabilities[n, r], probabilities, atol=1e-5, rtol=0)
            latents.append(single.latent[0])
        torch.testing.assert_close(passes.latents[n], torch.stack(latents).mean(dim=0), atol=1e-5, rtol=1e-5)


def test_the_plain_decoder_is_decode_however_many_passes_it_takes_at_once(
    compact: CompactDetector, clips: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        features = compact.encode(clips)
        with seeded_dropout(compact, [torch.Generator().manual_seed(int(seed)) for seed in SEEDS.ravel()]):
            expected = compact.decode(tuple(level.repeat_interleave(4, dim=0) for level in features))
        for at_once in (1, 3, 5, 100):  # parts of a clip's passes, and passes of several clips
            monkeypatch.setitem(monte_carlo.PASSES_AT_ONCE, "cpu", at_once)
            generators = [[torch.Generator().manual_seed(int(seed)) for seed in row] for row in SEEDS]
            found = pass_decoder(compact)(features, generators)
            for name in ("mask_logits", "class_scores", "latent", "class_maps"):
                torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=1e-5, rtol=1e-5)


def test_passes_differ_and_a_clip_is_the_same_in_any_batch(compact: CompactDetector, clips: torch.Tensor) -> None:
    together = monte_carlo_passes(compact, clips, SEEDS).mask_probabilities
    assert not torch.allclose(together[:, 0], together[:, 1])
    alone = monte_carlo_passes(compact, clips[2:], SEEDS[2:]).mask_probabilities
    torch.testing.assert_close(alone[0], together[2], atol=1e-5, rtol=0)


def test_encode_runs_once_per_clip_whatever_r_is(
    compact: CompactDetector, clips: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = compact.encode
    monkeypatch.setattr(compact, "encode", lambda batch: (encoded.append(len(batch)), encode(batch))[1])
    monte_carlo_passes(compact, clips, SEEDS)
    assert sum(encoded) == 3


@pytest.mark.parametrize("kind", [WholeDetector, SplitDetector])
def test_a_module_with_torchs_own_dropout_works_as_it_would_by_hand(
    kind: type[WholeDetector], clips: torch.Tensor
) -> None:
    torch.manual_seed(2)
    detector = kind(num_classes=2).eval()
    passes = monte_carlo_passes(detector, clips, SEEDS)
    detector.dropout.train()
    for n in range(3):
        outputs = []
        for r in range(4):
            torch.manual_seed(int(SEEDS[n, r]))
            with torch.no_grad():
                outputs.append(detector(clips[n : n + 1]))
            expected = torch.sigmoid(outputs[-1].mask_logits[0])
            torch.testing.assert_close(passes.mask_probabilities[n, r], expected, atol=1e-6, rtol=0)
        mean = sum(output.latent[0] for output in outputs) / 4
        torch.testing.assert_close(passes.latents[n], mean, atol=1e-6, rtol=1e-5)


def make_detectors() -> list[torch.nn.Module]:
    return [WholeDetector(2), SplitDetector(2), CompactDetector(2, width=8, pyramid_width=8)]


@pytest.mark.parametrize("which", range(3))
def test_passes_leave_generator_and_training_flags_as_they_were(which: int, clips: torch.Tensor) -> None:
    detector = make_detectors()[which].eval()
    state = torch.get_rng_state()
    first = monte_carlo_passes(detector, clips, SEEDS)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(module.training for module in detector.modules())
    torch.manual_seed(99)  # what torch's generator holds makes no difference
    second = monte_carlo_passes(detector, clips, SEEDS)
    assert torch.equal(first.mask_probabilities, second.mask_probabilities)
    assert torch.equal(first.latents, second.latents)


def test_flags_and_generator_are_restored_after_an_error() -> None:
    detector = WholeDetector(2).eval()
    state = torch.get_rng_state()
    with pytest.raises(RuntimeError):
        monte_carlo_passes(detector, torch.zeros(1, 5, 2, 4, 4), SEEDS[:1])  # five colours
    assert torch.equal(torch.get_rng_state(), state)
    assert not detector.dropout.training


def test_a_seed_is_what_another_implementation_of_blake2b_gives() -> None:
    # printf '7/2/3/4/clip' | b2sum -l 64; its first 63 bits, since torch takes no more
    assert pass_seed(7, 2, "clip", 3, 4) == 0xBBEE4CF69ADC60ED >> 1


def test_seeds_of_a_video_are_those_of_its_passes_and_all_differ() -> None:
    seeds = video_pass_seeds(1, 2, "a/b", clips=5, passes=6)
    assert seeds.dtype == np.uint64
    assert seeds.tolist() == [[pass_seed(1, 2, "a/b", clip, index) for index in range(6)] for clip in range(5)]
    others = [video_pass_seeds(*key, clips=5, passes=6) for key in [(1, 3, "a/b"), (2, 2, "a/b"), (1, 2, "a/c")]]
    assert len({seed for table in [seeds, *others] for seed in table.ravel().tolist()}) == 4 * 30


def test_parts_of_an_identity_cannot_run_into_each_other() -> None:
    assert pass_seed(1, 11, "v", 0, 0) != pass_seed(11, 1, "v", 0, 0)
    assert pass_seed(0, 0, "1/v", 0, 0) != pass_seed(0, 0, "v", 0, 1)
