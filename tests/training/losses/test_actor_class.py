"""Oracles: loops over clips, actors, frames and cells in double precision, and torch's cross-entropy of one actor."""

import functools
import math

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from hybridal_ray.detectors.interface import DetectorOutput
from hybridal_ray.training.losses.actor_class import actor_class_loss, actors_of_clips, clip_classes

CLIPS, CLASSES, FRAMES, SIDE, CELLS = 3, 4, 2, 8, 2
ACTOR_CLASSES = torch.tensor([[2, 0], [1, -1], [3, 1]])


def made_up(seed: int = 0, *, maps: bool = True) -> tuple[DetectorOutput, torch.Tensor, torch.Tensor]:
    """Output, instances and weights; actor 2 of the last clip is never seen."""
    generator = torch.Generator().manual_seed(seed)
    instances = torch.randint(0, 3, (CLIPS, FRAMES, SIDE, SIDE), generator=generator)
    instances[1] = instances[1].clamp_max(1)
    instances[2] = instances[2].clamp_max(1)
    weights = torch.rand(CLIPS, FRAMES, SIDE, SIDE, generator=generator, dtype=torch.float64)
    scores = torch.randn(CLIPS, CLASSES, generator=generator, dtype=torch.float64, requires_grad=True)
    class_maps = torch.randn(CLIPS, CLASSES, FRAMES, CELLS, CELLS, generator=generator, requires_grad=True)
    masks = torch.zeros(CLIPS, FRAMES, SIDE, SIDE)
    return DetectorOutput(masks, scores, scores, class_maps if maps else None), instances, weights


def cross_entropy(logits: list[float], target: int) -> float:
    return math.log(sum(math.exp(logit) for logit in logits)) - logits[target]


def area(instances: torch.Tensor, actor: int) -> int:
    return sum(instances[t, y, x].item() == actor + 1 for t in range(FRAMES) for y in range(SIDE) for x in range(SIDE))


def trust(instances: torch.Tensor, weights: torch.Tensor, actor: int) -> float:
    return max(
        weights[t, y, x].item()
        for t in range(FRAMES)
        for y in range(SIDE)
        for x in range(SIDE)
        if instances[t, y, x] == actor + 1
    )


def spread(logits: list[float], target: int, m: float) -> float:
    activations = [1 / (1 + math.exp(-logit)) for logit in logits]
    others = [a for i, a in enumerate(activations) if i != target]
    return sum(max(0.0, m - (activations[target] - a)) ** 2 for a in others)


def pooled_logits(maps: torch.Tensor, instances: torch.Tensor, actor: int) -> list[float]:
    """Mean of the cells' logits over the pixels of the actor, whatever they weigh in the mask loss."""
    sums, total = [0.0] * CLASSES, 0
    for t in range(FRAMES):
        for y in range(SIDE):
            for x in range(SIDE):
                if instances[t, y, x] == actor + 1:
                    total += 1
                    for c in range(CLASSES):
                        sums[c] += maps[c, t, y * CELLS // SIDE, x * CELLS // SIDE].item()
    return [value / total for value in sums]


@pytest.mark.parametrize("kind", ["cross_entropy", "spread"])
@pytest.mark.parametrize("seed", range(3))
def test_with_class_maps_each_actor_is_classified_by_the_cells_under_it(seed: int, kind: str) -> None:
    output, instances, weights = made_up(seed)
    of_actor = cross_entropy if kind == "cross_entropy" else functools.partial(spread, m=0.2 + 0.7 * 0.5)
    expected = 0.0
    for n in range(CLIPS):
        losses = [
            trust(instances[n], weights[n], actor)
            * of_actor(pooled_logits(output.class_maps[n], instances[n], actor), target)
            for actor, target in enumerate(ACTOR_CLASSES[n].tolist())
            if target >= 0 and area(instances[n], actor) > 0
        ]
        expected += sum(losses) / len(losses) / CLIPS
    found = actor_class_loss(output, instances, weights.float(), ACTOR_CLASSES, kind=kind, progress=0.5)
    assert found.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_without_class_maps_a_clip_has_the_class_of_its_largest_actor(seed: int) -> None:
    output, instances, weights = made_up(seed, maps=False)
    expected = 0.0
    for n in range(CLIPS):
        areas = [area(instances[n], actor) for actor in range(2)]
        largest = areas.index(max(areas))
        target = int(ACTOR_CLASSES[n, largest].item())
        assert clip_classes(instances, weights, ACTOR_CLASSES)[n] == target
        of_clip = cross_entropy(output.class_scores[n].tolist(), target)
        expected += trust(instances[n], weights[n], largest) * of_clip / CLIPS
    assert actor_class_loss(output, instances, weights, ACTOR_CLASSES).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("maps", [True, False])
def test_clips_without_actors_or_weight_add_nothing(maps: bool) -> None:
    output, instances, weights = made_up(maps=maps)
    instances[0] = 0
    weights[1] = 0
    loss = actor_class_loss(output, instances, weights.float(), ACTOR_CLASSES)
    scored = output.class_maps if maps else output.class_scores
    loss.backward()
    assert torch.isfinite(loss)
    assert (scored.grad[:2] == 0).all()
    assert (scored.grad[2] != 0).any()


@pytest.mark.parametrize("maps", [True, False])
def test_a_batch_without_any_actor_costs_nothing_and_still_has_a_gradient(maps: bool) -> None:
    output, instances, weights = made_up(maps=maps)
    loss = actor_class_loss(output, torch.zeros_like(instances), weights, torch.zeros(CLIPS, 0, dtype=torch.int64))
    assert loss.item() == 0
    loss.backward()
    assert (output.class_scores.grad == 0).all()


def test_two_actors_of_one_clip_may_do_different_things() -> None:
    maps = torch.zeros(1, 2, FRAMES, CELLS, CELLS)
    maps[0, 0, :, :, 0], maps[0, 1, :, :, 1] = 9.0, 9.0  # class 0 on the left, class 1 on the right
    instances = torch.zeros(1, FRAMES, SIDE, SIDE, dtype=torch.uint8)
    instances[..., : SIDE // 2], instances[..., SIDE // 2 :] = 1, 2
    output = DetectorOutput(torch.zeros(1), torch.zeros(1, 2), torch.zeros(1, 1), maps)
    weights = torch.ones(1, FRAMES, SIDE, SIDE)
    assert actor_class_loss(output, instances, weights, torch.tensor([[0, 1]])).item() < 1e-3
    assert actor_class_loss(output, instances, weights, torch.tensor([[1, 0]])).item() > 8


def test_a_clip_without_actors_has_no_class() -> None:
    instances = torch.tensor([0, 1], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, 1, 4, 4)
    weights = torch.ones(2, 1, 4, 4)
    assert clip_classes(instances, weights, torch.tensor([[5], [7]])).tolist() == [-1, 7]
    assert clip_classes(instances, weights, torch.zeros(2, 0, dtype=torch.int64)).tolist() == [-1, -1]


def test_an_actor_far_from_every_label_counts_as_little_as_its_pixels() -> None:
    maps = torch.randn(1, 3, FRAMES, CELLS, CELLS, generator=torch.Generator().manual_seed(1))
    instances = torch.ones(1, FRAMES, SIDE, SIDE, dtype=torch.uint8)
    output = DetectorOutput(torch.zeros(1), torch.zeros(1, 3), torch.zeros(1, 1), maps)
    near, far = (
        actor_class_loss(output, instances, torch.full((1, FRAMES, SIDE, SIDE), weight), torch.tensor([[2]])).item()
        for weight in (1.0, 0.01)
    )
    assert far == pytest.approx(0.01 * near, rel=1e-4)


class LargestTensor(TorchDispatchMode):
    """Remembers the most bytes that a tensor made in it takes."""

    bytes = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        made = function(*arguments, **(keywords or {}))
        if isinstance(made, torch.Tensor):
            self.bytes = max(self.bytes, made.nbytes)
        return made


def test_the_actors_of_a_crowd_are_told_apart_bit_by_bit_and_take_no_more_than_their_maps() -> None:
    generator = torch.Generator().manual_seed(0)
    instances = torch.randint(0, 13, (2, 3, 9, 9), generator=generator, dtype=torch.int16)
    weights = torch.rand(instances.shape, generator=generator)
    with LargestTensor() as largest:
        found = actors_of_clips(instances, weights, torch.zeros(2, 12, dtype=torch.int64))
    one_hot = torch.nn.functional.one_hot(instances.long(), 13)[..., 1:].float()
    assert torch.equal(found.pixels, one_hot)
    assert found.pixels.stride() == one_hot.stride()  # so that sums are taken in the same order
    assert torch.equal(found.areas, one_hot.sum(dim=(1, 2, 3)))
    assert largest.bytes == found.pixels.nbytes
