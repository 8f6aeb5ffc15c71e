"""Oracles: one large step for several small ones; the detector's own record of what it was asked; bits kept."""

import copy
import dataclasses

import pytest
import torch
from made_up_labels import SIDE, SPEC, write_pool
from sessions import MemorySession

from hybridal_ray.detectors.interface import normalise
from hybridal_ray.errors import UserError
from hybridal_ray.pool.frame_cache import FrameCache
from hybridal_ray.pool.ledger import labels_by_video
from hybridal_ray.training.batches import ClipSource, TrainingBatch
from hybridal_ray.training.learner import Learner
from hybridal_ray.training.objective import batch_loss
from hybridal_ray.training.sampling import ClipDraw
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.task import LabelledVideos, TrainingTask

STILL_SPEC = dataclasses.replace(SPEC, options={**SPEC.options, "dropout": 0.0})
CONDITIONED = dataclasses.replace(SPEC, name="conditioned_detector:DrawsOneClass", options={})
FOUR = [ClipDraw(video, 2, flipped=video == 1, crop=(0.0, 0.1, 0.9)) for video in range(4)]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TrainingTask:
    videos, labels = write_pool(tmp_path_factory.mktemp("pool"), videos=4, num_frames=14, labelled=(3, 10))
    by_video = labels_by_video(labels)
    return TrainingTask(
        spec=STILL_SPEC,
        labelled=LabelledVideos(videos, [by_video[video.video_id] for video in videos]),
        loss=LossSettings(),
        clustering=ClusteringSettings(clusters=2, beta=1e-3),
        optimiser=OptimiserSettings(),
        sampling=SamplingSettings(colour=0.0),
        seed=0,
        round_index=0,
    )


def batch_of(task: TrainingTask, draws: list[ClipDraw]) -> TrainingBatch:
    cache = FrameCache(2**24, SIDE)
    return ClipSource(task.labelled.videos, task.labelled.labels, task.spec, task.loss, cache).batch(draws)


def learner_of(task: TrainingTask, **optimiser) -> Learner:
    torch.manual_seed(0)
    learner = Learner(dataclasses.replace(task, optimiser=OptimiserSettings(**optimiser)), MemorySession())
    learner.train_mode()
    return learner


def test_parts_run_one_after_the_other_make_the_step_of_the_whole(task: TrainingTask) -> None:
    whole, parts = learner_of(task), learner_of(task)
    width = whole.detector(torch.zeros(1, 3, 4, SIDE, SIDE)).latent.shape[1]
    for learner in (whole, parts):
        learner.centres, learner.counts = torch.tensor([[0.0], [0.1]]).expand(2, width).clone(), torch.ones(2)
    terms = whole.step([batch_of(task, FOUR)], rate=1e-2, progress=0.3)
    halves = [batch_of(task, FOUR[:2]), batch_of(task, FOUR[2:])]
    in_parts = parts.step(halves, rate=1e-2, progress=0.3)
    for name, term in terms.items():
        assert in_parts[name].item() == pytest.approx(term.item(), rel=1e-5), name
    for one, other in zip(whole.detector.parameters(), parts.detector.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(parts.centres, whole.centres)
    assert parts.counts.tolist() == whole.counts.tolist()


def test_a_detector_that_draws_one_class_is_told_the_labelled_one(task: TrainingTask) -> None:
    learner = learner_of(dataclasses.replace(task, spec=CONDITIONED))
    batch = batch_of(task, FOUR)
    nobody = dataclasses.replace(batch, weights=batch.weights * torch.tensor([1.0, 1, 0, 1]).view(4, 1, 1, 1))
    learner.step([batch], rate=1e-3, progress=0.0)
    learner.step([nobody], rate=1e-3, progress=0.0)
    assert learner.detector.asked == [[0, 1, 0, 1], [0, 1, -1, 1]]


def test_a_frozen_encoder_keeps_its_weights_and_its_statistics(task: TrainingTask) -> None:
    learner = learner_of(dataclasses.replace(task, spec=CONDITIONED), freeze_encoder=True)
    before = copy.deepcopy(learner.detector.state_dict())
    learner.step([batch_of(task, FOUR)], rate=1e-2, progress=0.0)
    after = learner.detector.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"mask.weight", "mask.bias", "classes.weight", "classes.bias"}


def test_only_an_encoder_that_there_is_can_be_frozen(task: TrainingTask) -> None:
    own = dataclasses.replace(SPEC, name="own_detector:OneClassDetector", options={})
    with pytest.raises(UserError, match=r"^training\.freeze_encoder: the detector 'own_detector:OneClassDetector'"):
        learner_of(dataclasses.replace(task, spec=own), freeze_encoder=True)


@pytest.mark.parametrize("options", [{"channels_last": True}, {"precision": "bfloat16"}])
def test_faster_arithmetic_gives_nearly_the_same_step(task: TrainingTask, options: dict) -> None:
    plain, fast = learner_of(task), learner_of(task, **options)
    losses = [one.step([batch_of(task, FOUR)], rate=1e-3, progress=0.0)["loss"].item() for one in (plain, fast)]
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)


def test_convolutions_in_time_learn_the_same_in_bfloat16(task: TrainingTask) -> None:
    spec = dataclasses.replace(SPEC, name="own_detector:DeepDetector", clip_frames=2, options={})
    deep = dataclasses.replace(task, spec=spec)
    plain, fast = learner_of(deep, clip_norm=1e9), learner_of(deep, precision="bfloat16", clip_norm=1e9)
    for learner in (plain, fast):
        learner.step([batch_of(deep, FOUR)], rate=1e-9, progress=0.0)
    assert fast.skipped == 0
    for one, other in zip(plain.detector.parameters(), fast.detector.parameters(), strict=True):
        assert (one.grad - other.grad).norm() < 0.05 * one.grad.norm()


def test_a_step_whose_gradient_is_not_finite_is_left_out(task: TrainingTask) -> None:
    learner, batch = learner_of(task), batch_of(task, FOUR)
    before = copy.deepcopy(learner.detector.state_dict())
    broken = dataclasses.replace(batch, weights=batch.weights * float("inf"))
    assert not learner.step([broken], rate=1e-2, progress=0.0)["loss"].isfinite()
    assert learner.skipped == 1
    kept = [name for name, _ in learner.detector.named_parameters()]
    assert all(torch.equal(learner.detector.state_dict()[name], before[name]) for name in kept)
    learner.step([batch], rate=1e-2, progress=0.0)
    assert learner.skipped == 1
    assert all(tensor.isfinite().all() for tensor in learner.detector.state_dict().values())


def test_a_step_that_is_left_out_leaves_no_statistics_of_its_batch(task: TrainingTask) -> None:
    learner = learner_of(dataclasses.replace(task, spec=CONDITIONED), average=0.5)
    batch = batch_of(task, FOUR)
    learner.step([batch], rate=1e-2, progress=0.0)
    before = copy.deepcopy(learner.detector.state_dict())
    with torch.no_grad():
        learner.detector.encoder[0].weight.mul_(float("inf"))  # so is all that it computes
    learner.step([batch, batch], rate=1e-2, progress=0.0)
    assert learner.skipped == 1
    for detector in (learner.detector, learner.averaged.module):
        for name, buffer in detector.named_buffers():
            assert torch.equal(buffer, before[name]), name


@pytest.mark.parametrize("unused", ["latent", "class_scores"])
def test_every_output_has_a_gradient_so_that_workers_wait_for_none(task: TrainingTask, unused: str) -> None:
    learner, batch = learner_of(task), batch_of(task, FOUR)
    output = learner.predict(learner.model, normalise(batch.frames), None)
    loss = batch_loss(output, batch.instances, batch.weights, batch.actor_classes, settings=task.loss, progress=0.0)[
        "loss"
    ]
    (gradient,) = torch.autograd.grad(loss, getattr(output, unused))
    assert gradient.abs().sum() == 0


def test_the_spread_loss_follows_the_progress_of_the_training(task: TrainingTask) -> None:
    spread = dataclasses.replace(task, loss=LossSettings(class_loss="spread"))
    losses = [
        learner_of(spread).step([batch_of(task, FOUR)], rate=1e-3, progress=progress)["class_loss"].item()
        for progress in (0.0, 0.5, 1.0)
    ]
    assert losses == sorted(losses)
    assert losses[0] < losses[2]


def test_the_evaluated_detector_is_the_average_where_there_is_one(task: TrainingTask) -> None:
    averaged, plain = learner_of(task, average=0.5), learner_of(task)
    assert plain.evaluated is plain.detector
    seen = []
    for _ in range(3):
        averaged.step([batch_of(task, FOUR)], rate=1e-2, progress=0.0)
        seen.append(next(averaged.detector.parameters()).detach().clone())
    first, second, third = seen
    decays = [min(0.5, (1 + n) / (10 + n)) for n in (1, 2)]
    expected = decays[1] * (decays[0] * first + (1 - decays[0]) * second) + (1 - decays[1]) * third
    torch.testing.assert_close(next(averaged.evaluated.parameters()).detach(), expected)
