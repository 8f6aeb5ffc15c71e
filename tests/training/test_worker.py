"""Oracles: the same training not interrupted, bit by bit; rates worked out by hand."""

import dataclasses

import pytest
import torch
from made_up_labels import SPEC, write_pool
from sessions import MemorySession

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.errors import UserError
from hybridal_ray.pool.ledger import labels_by_video
from hybridal_ray.training import objective
from hybridal_ray.training.learner import Learner
from hybridal_ray.training.optimisation import learning_rate
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.task import LabelledVideos, TrainingTask
from hybridal_ray.training.validation import keep_best
from hybridal_ray.training.worker import final_weights, train

OPTIMISER = OptimiserSettings(
    epochs=4, steps_per_epoch=6, batch_size=4, learning_rate=5e-3, warmup_steps=4, cache_mib=16
)


MEASURED = dict.fromkeys(
    ("seconds", "cpu_seconds", "ended_at", "waiting_share", "clips_per_second", "peak_memory_mib_0"), 0.0
)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> TrainingTask:
    videos, labels = write_pool(tmp_path_factory.mktemp("pool"), videos=6, num_frames=14, labelled=(3, 10))
    by_video = labels_by_video(labels)
    return TrainingTask(
        spec=SPEC,
        labelled=LabelledVideos(videos, [by_video[video.video_id] for video in videos]),
        loss=LossSettings(),
        clustering=ClusteringSettings(clusters=2, beta=1e-3, start=0.5),
        optimiser=OPTIMISER,
        sampling=SamplingSettings(),
        seed=3,
        round_index=1,
    )


@pytest.fixture(scope="module")
def undisturbed(task: TrainingTask) -> MemorySession:
    session = MemorySession()
    train(task, session)
    return session


def same_weights(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_loss_falls_and_its_terms_add_up(task: TrainingTask, undisturbed: MemorySession) -> None:
    history = undisturbed.metrics
    assert [metrics["epoch"] for metrics in history] == [0, 1, 2, 3]
    assert history[-1]["mask_loss"] < 0.8 * history[0]["mask_loss"]
    for metrics in history:
        total = metrics["mask_loss"] + metrics["class_loss"] + 1e-3 * metrics.get("clustering_loss", 0.0)
        assert metrics["loss"] == pytest.approx(total, rel=1e-5)
    assert undisturbed.states[-1]["history"] == history
    last_steps = [6 * epoch + 5 for epoch in range(4)]
    assert [metrics["learning_rate"] for metrics in history] == [learning_rate(OPTIMISER, step) for step in last_steps]


def test_centres_start_after_their_share_of_the_epochs(undisturbed: MemorySession) -> None:
    assert [state["centres"] is None for state in undisturbed.states] == [True, True, False, False]
    assert ["clustering_loss" in metrics for metrics in undisturbed.metrics] == [False, False, True, True]
    # k-means saw 6 videos; each epoch since then, 6 batches of 4 clips.
    assert [state["counts"].sum().item() for state in undisturbed.states[2:]] == [6 + 24, 6 + 48]


@pytest.mark.parametrize(("epochs", "start", "without"), [(1, 0.5, 0), (3, 0.7, 2), (2, 0.5, 1), (3, 0.5, 2)])
def test_centres_start_before_the_last_epoch_at_the_latest(
    task: TrainingTask, epochs: int, start: float, without: int
) -> None:
    short = dataclasses.replace(OPTIMISER, epochs=epochs, steps_per_epoch=1)
    clustering = dataclasses.replace(task.clustering, start=start)
    train(dataclasses.replace(task, optimiser=short, clustering=clustering), session := MemorySession())
    assert [state["centres"] is None for state in session.states] == [True] * without + [False] * (epochs - without)


@pytest.mark.parametrize("epochs_done", [1, 2, 3, 4])
def test_going_on_from_a_checkpoint_gives_the_same_bits_as_not_stopping(
    task: TrainingTask, undisturbed: MemorySession, epochs_done: int
) -> None:
    torch.manual_seed(epochs_done)  # another process has another generator
    session = MemorySession(undisturbed.states[epochs_done - 1])
    state, expected = train(task, session), undisturbed.states[-1]
    assert len(session.metrics) == 4 - epochs_done
    assert same_weights(state["weights"], expected["weights"])
    assert torch.equal(state["centres"], expected["centres"])
    assert torch.equal(state["counts"], expected["counts"])
    for one, other in zip(state["history"], expected["history"], strict=True):
        assert {**one, **MEASURED} == {**other, **MEASURED}


def test_seed_and_round_make_another_training(task: TrainingTask, undisturbed: MemorySession) -> None:
    short = dataclasses.replace(OPTIMISER, epochs=1, steps_per_epoch=1)
    trained = [
        train(dataclasses.replace(task, optimiser=short, seed=seed, round_index=round_index), MemorySession())
        for seed, round_index in [(3, 1), (3, 1), (4, 1), (3, 2)]
    ]
    first, again, seed, round_index = (state["weights"] for state in trained)
    assert same_weights(first, again)
    assert not same_weights(first, seed)
    assert not same_weights(first, round_index)


def test_training_starts_from_the_weights_it_is_given(task: TrainingTask) -> None:
    torch.manual_seed(11)
    weights = build_detector(SPEC).state_dict()
    still = dataclasses.replace(OPTIMISER, epochs=1, steps_per_epoch=1, learning_rate=1e-30)
    given = dataclasses.replace(task, optimiser=still, initial_weights=weights)
    for name, tensor in train(given, MemorySession())["weights"].items():
        torch.testing.assert_close(tensor, weights[name], atol=1e-25, rtol=0)


def test_every_round_of_a_cold_start_begins_with_the_same_weights(task: TrainingTask) -> None:
    still = dataclasses.replace(OPTIMISER, epochs=1, steps_per_epoch=1, learning_rate=1e-30)
    rounds = [
        dataclasses.replace(task, optimiser=still, seed=seed, round_index=r) for seed, r in [(3, 0), (3, 2), (4, 0)]
    ]
    first, later, other_seed = (train(one, MemorySession())["weights"] for one in rounds)
    for name, tensor in first.items():
        torch.testing.assert_close(tensor, later[name], atol=1e-25, rtol=0)
    assert not torch.allclose(first["encoder.stem.weight"], other_seed["encoder.stem.weight"])


def test_without_clusters_there_are_no_centres(task: TrainingTask) -> None:
    short = dataclasses.replace(OPTIMISER, epochs=2, steps_per_epoch=1)
    without = dataclasses.replace(task, optimiser=short, clustering=ClusteringSettings(clusters=0, start=0.0))
    assert train(without, MemorySession())["centres"] is None


def test_a_detector_of_the_users_own_is_trained(task: TrainingTask) -> None:
    spec = dataclasses.replace(SPEC, name="own_detector:OneClassDetector", options={})
    session = MemorySession()
    train(dataclasses.replace(task, spec=spec), session)
    assert session.metrics[-1]["loss"] < session.metrics[0]["loss"]


@pytest.fixture(scope="module")
def validated(task: TrainingTask) -> TrainingTask:
    """The same, two of its videos held out, its weights averaged, in parts, and with unlabelled clips."""
    videos, labels = task.labelled.videos, task.labelled.labels
    return dataclasses.replace(
        task,
        labelled=LabelledVideos(videos[:3], labels[:3]),
        validation=LabelledVideos(videos[3:5], labels[3:5]),
        unlabelled=videos[5:],
        optimiser=dataclasses.replace(OPTIMISER, accumulate=2, average=0.9),
        sampling=SamplingSettings(balance_classes=True, unlabelled=0.25, crop=0.3),
    )


def test_the_epoch_of_the_lowest_validation_loss_is_the_one_that_is_left(validated: TrainingTask) -> None:
    session = MemorySession()
    state = train(dataclasses.replace(validated, optimiser=OPTIMISER), session)
    losses = [metrics["validation_loss"] for metrics in session.metrics]
    best = losses.index(min(losses[2:]))  # of those with centres
    assert (state["best"]["epoch"], state["best"]["loss"]) == (best, losses[best])
    weights, centres = final_weights(state)
    assert same_weights(weights, session.states[best]["weights"])
    assert torch.equal(centres, session.states[best]["centres"])


@pytest.mark.parametrize(("clusters", "start", "best"), [(0, 0.5, 0), (2, 0.0, 0), (2, 0.4, 3)])
def test_training_ends_when_validation_no_longer_improves(
    validated: TrainingTask, clusters: int, start: float, best: int
) -> None:
    # A rate of nothing: no epoch is better than the first, and patience begins with the first that has centres.
    still = dataclasses.replace(OPTIMISER, epochs=7, steps_per_epoch=1, learning_rate=1e-30)
    clustering = dataclasses.replace(validated.clustering, clusters=clusters, start=start)
    patient = dataclasses.replace(validated, optimiser=still, clustering=clustering, patience=2)
    session = MemorySession()
    state = train(patient, session)
    assert [metrics["epoch"] for metrics in session.metrics] == list(range(best + 3))
    assert state["best"]["epoch"] == best
    assert (state["best"]["centres"] is None) == (clusters == 0)
    again = MemorySession(state)
    assert train(patient, again)["epoch"] == best + 3
    assert again.metrics == []


def test_an_epoch_without_a_number_for_a_loss_is_never_the_best(validated: TrainingTask) -> None:
    learner = Learner(validated, MemorySession())
    assert keep_best(None, learner, 0, float("nan")) is None
    best = keep_best(None, learner, 1, 1.5)
    for loss in (float("nan"), float("inf"), 1.5, 1.6):
        assert keep_best(best, learner, 2, loss) is best
    assert keep_best(best, learner, 2, 1.4)["epoch"] == 2


def test_a_training_that_has_diverged_is_told(task: TrainingTask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objective, "weighted_bce", lambda logits, *_: logits.sum() * float("nan"))
    with pytest.raises(UserError, match=r"^training: not one gradient of epoch 0 was finite; expected a training\."):
        train(task, session := MemorySession())
    assert session.states == []


def without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every gradient is NaN from now on, while every loss is a number."""

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(context: torch.autograd.function.FunctionCtx, logits: torch.Tensor) -> torch.Tensor:
            return logits.clone()

        @staticmethod
        def backward(context: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> torch.Tensor:
            return gradient * float("nan")

    true = objective.weighted_bce
    monkeypatch.setattr(objective, "weighted_bce", lambda logits, *rest: true(Broken.apply(logits), *rest))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_training_that_takes_no_step_is_told_though_its_loss_is_a_number(
    task: TrainingTask, monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    without_gradients(monkeypatch)
    broken = dataclasses.replace(task, optimiser=dataclasses.replace(OPTIMISER, precision=precision))
    with pytest.raises(UserError, match=r"^training: not one gradient of epoch 0 was finite"):
        train(broken, session := MemorySession())
    assert session.states == []


def test_in_float16_an_epoch_may_pass_in_search_of_the_scale(
    task: TrainingTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_gradients(monkeypatch)
    short = dataclasses.replace(OPTIMISER, epochs=1, precision="float16")
    train(dataclasses.replace(task, optimiser=short), session := MemorySession())
    assert session.metrics[0]["skipped_steps"] == 6


def test_with_every_option_too_going_on_gives_the_same_bits(validated: TrainingTask) -> None:
    whole = MemorySession()
    expected = train(validated, whole)
    cut = MemorySession(whole.states[1])
    found = train(validated, cut)
    assert len(cut.metrics) == 2
    for kind in ("weights", "averaged"):
        assert same_weights(found[kind], expected[kind])
    assert same_weights(*(state["best"]["weights"] for state in (found, expected)))
    assert not same_weights(final_weights({**expected, "best": None})[0], expected["weights"])  # they are averaged


def test_unlabelled_clips_move_the_centres_and_nothing_else_of_the_loss(validated: TrainingTask) -> None:
    alone = dataclasses.replace(
        validated,
        optimiser=dataclasses.replace(OPTIMISER, epochs=1),
        clustering=dataclasses.replace(validated.clustering, start=0.0),
        sampling=SamplingSettings(unlabelled=0.99),
        validation=None,
    )
    state = train(alone, session := MemorySession())
    assert state["counts"].sum().item() == 3 + 24
    assert session.metrics[0]["mask_loss"] == session.metrics[0]["class_loss"] == 0
    assert session.metrics[0]["clustering_loss"] > 0


def test_what_an_epoch_took_is_measured(undisturbed: MemorySession) -> None:
    for metrics in undisturbed.metrics:
        assert 0 <= metrics["waiting_share"] <= 1
        assert metrics["clips_per_second"] * metrics["seconds"] >= 24
        assert metrics["cpu_seconds"] > 0
        assert metrics["peak_memory_mib_0"] > 50
