"""Oracles: the centres of the Deep Clustering Network moved latent by latent, and one process with the whole batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from hybridal_ray.detectors.compact import CompactDetector
from hybridal_ray.training.losses.actor_class import actor_class_loss
from hybridal_ray.training.losses.bce import weighted_bce
from hybridal_ray.training.losses.deep_clustering import assign, clustering_loss, update_centres
from hybridal_ray.training.losses.dice import weighted_dice

BATCH, STEPS = 8, 3


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn(20, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def centres() -> torch.Tensor:
    return torch.randn(4, 3, generator=torch.Generator().manual_seed(1))


def nearest(latent: torch.Tensor, centres: torch.Tensor) -> int:
    distances = [sum((a - b) ** 2 for a, b in zip(latent.tolist(), centre.tolist(), strict=True)) for centre in centres]
    return distances.index(min(distances))


def test_each_latent_goes_to_its_nearest_centre_ties_to_the_lower_id(latents, centres) -> None:
    assert assign(latents, centres).tolist() == [nearest(latent, centres) for latent in latents]
    twice = torch.cat([centres, centres])
    assert assign(latents, twice).max() < 4


def test_the_loss_is_half_the_squared_distance_averaged_over_clips(latents, centres) -> None:
    latents.requires_grad_()
    centres.requires_grad_()
    loss = clustering_loss(latents, centres)
    own = [centres[nearest(latent, centres)] for latent in latents]
    squares = [0.5 * ((z - c) ** 2).sum().item() for z, c in zip(latents, own, strict=True)]
    assert loss.item() == pytest.approx(sum(squares) / 20, rel=1e-5)
    loss.backward()
    torch.testing.assert_close(latents.grad, (latents - torch.stack(own)).detach() / 20)
    assert centres.grad is None


@pytest.mark.parametrize("seen", [0, 1, 7])
def test_a_minibatch_moves_centres_as_its_latents_would_one_by_one(latents, centres, seen: int) -> None:
    counts = torch.tensor([float(seen), seen + 2, seen, 3.0])
    expected, expected_counts = centres.double().numpy().copy(), counts.tolist()
    for latent in latents:
        cluster = nearest(latent, centres)
        expected_counts[cluster] += 1
        expected[cluster] += (latent.double().numpy() - expected[cluster]) / expected_counts[cluster]
    moved, new_counts = update_centres(centres, counts, latents)
    np.testing.assert_allclose(moved, expected, atol=1e-6)
    assert new_counts.tolist() == expected_counts


def test_latents_that_are_no_numbers_do_not_count(latents, centres) -> None:
    broken = torch.cat([latents, torch.tensor([[0.0, float("nan"), 0.0], [float("inf")] * 3])])
    counts = torch.ones(4)
    without = update_centres(centres, counts, latents)
    for found, expected in zip(update_centres(centres, counts, broken), without, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_centre_without_latents_stays_and_nothing_is_changed_in_place(centres) -> None:
    far = torch.cat([centres, torch.full((1, 3), 1000.0)])
    before, counts = far.clone(), torch.zeros(5)
    moved, new_counts = update_centres(far, counts, torch.zeros(2, 3, requires_grad=True))
    assert torch.equal(moved[4], far[4])
    assert new_counts[4] == 0
    assert not moved.requires_grad
    assert torch.equal(far, before)
    assert counts.sum() == 0


def batches() -> list[tuple[torch.Tensor, ...]]:
    """Clips, instances, weights and classes of a few steps, with clips of two, one and no actors.

    In double precision: a few steps blow the rounding of sums in another order up, for a ReLU that just opens.
    """
    generator = torch.Generator().manual_seed(3)
    made = []
    for _ in range(STEPS):
        clips = torch.randn(BATCH, 3, 2, 32, 32, generator=generator, dtype=torch.float64)
        instances = torch.zeros(BATCH, 2, 32, 32, dtype=torch.uint8)
        instances[: BATCH - 1, :, 4:20, 4:20] = 1
        instances[: BATCH // 2, :, 20:30, 16:30] = 2
        weights = torch.rand(BATCH, 2, 32, 32, generator=generator, dtype=torch.float64)
        classes = torch.tensor([[0, 1]] * (BATCH // 2) + [[2, -1]] * (BATCH // 2))
        made.append((clips, instances, weights, classes))
    return made


def train_a_little(rank: int, world_size: int) -> dict:
    """Steps of gradient descent with the whole loss on one worker's share; losses are those of the whole batch."""
    torch.manual_seed(0)
    detector = CompactDetector(num_classes=3, width=8, pyramid_width=8, dropout=0.0).train().double()
    model = DistributedDataParallel(detector) if world_size > 1 else detector
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    share = slice(rank * BATCH // world_size, (rank + 1) * BATCH // world_size)
    with torch.no_grad():
        centres, counts = detector(batches()[0][0][[0, 3, 7]]).latent, torch.ones(3)
    losses, gradients = [], []
    for clips, instances, weights, classes in batches():
        output = model(clips[share])
        foreground = (instances[share] > 0).double()
        loss = weighted_bce(output.mask_logits, foreground, weights[share])
        loss = loss + weighted_dice(output.mask_logits, foreground, weights[share])
        loss = loss + actor_class_loss(output, instances[share], weights[share].float(), classes[share])
        loss = loss + 0.1 * clustering_loss(output.latent, centres)
        optimiser.zero_grad()
        loss.backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in detector.parameters()]))
        optimiser.step()
        centres, counts = update_centres(centres, counts, output.latent)
        mean = loss.detach() / world_size
        if world_size > 1:
            dist.all_reduce(mean)
        losses.append(mean.item())
    return {"losses": torch.tensor(losses), "gradients": torch.stack(gradients), "centres": centres, "counts": counts}


def worker(rank: int, world_size: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world_size)
    try:
        torch.save(train_a_little(rank, world_size), Path(folder, f"{rank}.pt"))
    finally:
        dist.destroy_process_group()


@pytest.mark.slow
def test_two_workers_with_half_the_batch_are_one_with_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    alone = train_a_little(0, 1)
    torch.multiprocessing.spawn(worker, args=(2, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, expected in alone.items():
        assert torch.equal(first[name], second[name])  # every worker holds the same
        torch.testing.assert_close(first[name], expected, atol=2e-5, rtol=1e-4)
    assert alone["counts"].sum() == 3 + STEPS * BATCH
    assert (alone["counts"] > 1).sum() > 1
