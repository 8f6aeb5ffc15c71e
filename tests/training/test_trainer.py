"""Oracles: a training in one go, bit by bit; a training in this process for one on Ray's workers."""

import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from made_up_labels import SPEC, write_pool

from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import UnreadableVideo
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.tables import Video
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.trainer import TrainingSummary, Workers, _drop_broken_snapshot, forget_epochs, train_round

OPTIMISER = OptimiserSettings(epochs=3, steps_per_epoch=3, batch_size=4, learning_rate=5e-3, warmup_steps=2)
MadeUpPool = tuple[list[Video], pa.Table]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> MadeUpPool:
    return write_pool(tmp_path_factory.mktemp("pool"), videos=4, num_frames=14, labelled=(3, 10))


def workers(count: int) -> Workers:
    return Workers(count, cpus_per_worker=1, gpus_per_worker=0, device="cpu", max_failures=0)


def train_here(pool: MadeUpPool, out_dir: Path | str, **changes) -> TrainingSummary:
    arguments = {
        "spec": SPEC,
        "videos": pool[0],
        "labels": pool[1],
        "out_dir": str(out_dir),
        "loss": LossSettings(),
        "clustering": ClusteringSettings(clusters=2, beta=1e-3, start=0.0),
        "optimiser": OPTIMISER,
        "seed": 5,
        "round_index": 0,
        "sampling": SamplingSettings(),
        "held_out": None,
        "initial_weights": None,
        "workers": workers(0),
    }
    return train_round(**arguments | changes)


def weights_in(out_dir: Path) -> dict[str, torch.Tensor]:
    return load_detector(str(out_dir / "checkpoint")).detector.state_dict()


def assert_same_weights(one: Path, other: Path) -> None:
    expected = weights_in(other)
    for name, tensor in weights_in(one).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_round_leaves_a_detector_its_centres_and_its_history(pool: MadeUpPool, tmp_path: Path) -> None:
    told: list[dict[str, float]] = []
    summary = train_here(pool, tmp_path, progress=told.append)
    loaded = load_detector(summary.checkpoint)
    assert loaded.spec == SPEC
    assert loaded.centres is not None
    assert loaded.centres.shape[0] == 2
    history = json.loads((tmp_path / "history.json").read_text())
    assert history == told
    assert [set(epoch) >= {"epoch", "loss", "learning_rate", "seconds"} for epoch in history] == [True] * 3
    assert (summary.epochs, summary.loss) == (3, history[-1]["loss"])


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_a_training_that_was_cut_off_ends_with_the_same_bits(
    pool: MadeUpPool, tmp_path: Path, killed_after: int
) -> None:
    def kill(metrics: dict[str, float]) -> None:
        if metrics["epoch"] == killed_after:
            raise KeyboardInterrupt

    train_here(pool, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train_here(pool, tmp_path / "cut", progress=kill)
    assert not (tmp_path / "cut" / "checkpoint").exists()
    told: list[dict[str, float]] = []
    train_here(pool, tmp_path / "cut", progress=told.append)
    assert [metrics["epoch"] for metrics in told] == list(range(killed_after + 1, 3))
    assert_same_weights(tmp_path / "cut", tmp_path / "whole")


def test_a_warm_start_begins_where_the_last_round_ended(pool: MadeUpPool, tmp_path: Path) -> None:
    train_here(pool, tmp_path / "first")
    still = dataclasses.replace(OPTIMISER, epochs=1, steps_per_epoch=1, learning_rate=1e-30)
    train_here(pool, tmp_path / "warm", optimiser=still, initial_weights=weights_in(tmp_path / "first"))
    assert_same_weights(tmp_path / "warm", tmp_path / "first")


def test_videos_without_labels_and_labels_without_videos_take_no_part(pool: MadeUpPool, tmp_path: Path) -> None:
    videos, labels = pool
    labels_of_two = labels.slice(0, 4)
    lost = Video("video-99", str(tmp_path / "not-there.mp4"), "train", "g", 14, 32, 32)
    train_here((videos[:2], labels_of_two), tmp_path / "two")
    train_here(([*videos, lost], labels_of_two), tmp_path / "more videos")
    train_here((videos[:2], labels), tmp_path / "more labels")
    assert_same_weights(tmp_path / "more videos", tmp_path / "two")
    assert_same_weights(tmp_path / "more labels", tmp_path / "two")


def test_what_the_user_can_mend_is_named(pool: MadeUpPool, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^training: 0 videos have labels"):
        train_here((pool[0], LABELS_SCHEMA.empty_table()), tmp_path)
    with pytest.raises(UserError, match=r"^training: 4 videos have labels, expected at least one a worker \(5\)"):
        train_here(pool, tmp_path, workers=workers(5))
    with pytest.raises(UserError, match=r"^training\.batch_size: 4 clips do not divide evenly over 3 workers"):
        train_here(pool, tmp_path, workers=workers(3))
    with pytest.raises(UserError, match=r"^detector\.options\.depth: "):
        train_here(pool, tmp_path, spec=dataclasses.replace(SPEC, options={"depth": 3}))


def test_a_labelled_video_that_is_gone_ends_the_training_by_name(pool: MadeUpPool, tmp_path: Path) -> None:
    gone = dataclasses.replace(pool[0][0], uri=str(tmp_path / "gone.mp4"))
    with pytest.raises(UnreadableVideo, match=r"gone\.mp4"):
        train_here(([gone], pool[1]), tmp_path / "out")


def test_what_is_kept_of_epochs_goes_and_what_a_round_leaves_stays(pool: MadeUpPool, tmp_path: Path) -> None:
    train_here(pool, tmp_path)
    (tmp_path / "ray/epoch-0001").mkdir(parents=True)
    forget_epochs(str(tmp_path))
    forget_epochs(str(tmp_path))
    assert {file.name for file in tmp_path.iterdir()} == {"checkpoint", "history.json"}


@pytest.mark.parametrize(("written", "kept"), [('{"checkpoint_results": []}', True), ('{"checkpoint_resu', False)])
def test_half_a_snapshot_of_rays_is_no_obstacle(tmp_path: Path, written: str, kept: bool) -> None:
    (tmp_path / "checkpoint_manager_snapshot.json").write_text(written)
    _drop_broken_snapshot(str(tmp_path))
    assert tmp_path.exists() is kept


@pytest.mark.ray
@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
class TestOnRay:
    def test_a_key_of_a_store_may_hold_any_character(self, pool: MadeUpPool, tmp_path: Path) -> None:
        short = dataclasses.replace(OPTIMISER, epochs=1, steps_per_epoch=1)
        for name in ("exp#1", "exp#2", "a run"):
            location = f"file://{tmp_path}/{name.replace('#', '%23').replace(' ', '%20')}"
            train_here(pool, location, optimiser=short, workers=workers(1))
            assert (tmp_path / name / "ray/epoch-0001/state.pt").exists()

    def test_workers_that_do_not_come_are_told_by_their_field(
        self, pool: MadeUpPool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "0.5")
        wanted = dataclasses.replace(workers(1), gpus_per_worker=1)
        with pytest.raises(UserError, match=r"^training\.workers=1: so many of 1 CPU and 1 GPU each did not come"):
            train_here(pool, tmp_path, workers=wanted)

    def test_two_workers_train_as_one_process_does(self, pool: MadeUpPool, tmp_path: Path) -> None:
        # Without dropout and colours, which workers draw for themselves, only the order of sums is another; a low
        # rate keeps Adam from blowing that up.
        spec = dataclasses.replace(SPEC, options={**SPEC.options, "dropout": 0.0})
        changes = {
            "spec": spec,
            "optimiser": dataclasses.replace(OPTIMISER, learning_rate=5e-4),
            "sampling": SamplingSettings(colour=0.0),
        }
        here = train_here(pool, tmp_path / "here", **changes)
        there = train_here(pool, tmp_path / "ray", **changes, workers=workers(2))
        assert there.epochs == here.epochs
        assert there.loss == pytest.approx(here.loss, rel=1e-3)
        one, two = load_detector(here.checkpoint), load_detector(there.checkpoint)
        assert two.spec == spec
        assert two.centres == pytest.approx(one.centres, abs=1e-2)
        history = [json.loads((tmp_path / name / "history.json").read_text()) for name in ("here", "ray")]
        for mine, theirs in zip(*history, strict=True):
            assert theirs["mask_loss"] == pytest.approx(mine["mask_loss"], rel=1e-3)
            assert theirs["class_loss"] == pytest.approx(mine["class_loss"], rel=1e-3)

    def test_an_error_of_a_worker_that_the_user_can_mend_comes_back_as_itself(
        self, pool: MadeUpPool, tmp_path: Path
    ) -> None:
        gone = dataclasses.replace(pool[0][0], uri=str(tmp_path / "gone.mp4"))
        counted = dataclasses.replace(
            SPEC, name="own_detector:CountedDetector", options={"file": str(tmp_path / "log")}
        )
        patient = dataclasses.replace(workers(1), max_failures=2)
        with pytest.raises(UnreadableVideo, match=r"gone\.mp4"):
            train_here(([gone], pool[1]), tmp_path / "out", workers=patient, spec=counted)
        tries = (tmp_path / "log").read_text().count("built")  # the driver's own among them
        Path(gone.uri).symlink_to(pool[0][0].uri)
        train_here(([gone], pool[1]), tmp_path / "out", workers=patient, spec=counted)
        assert (tmp_path / "log").read_text().count("built") - tries == tries
