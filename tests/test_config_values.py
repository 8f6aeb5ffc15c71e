"""Oracles: fields looked up by hand; a small pool of which all is known."""

import dataclasses
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from hybridal_ray.config import Config, parse_config
from hybridal_ray.config_values import (
    actor_plan,
    detector_spec,
    feature_cache,
    held_out,
    optimiser_settings,
    plain,
    score_index,
    scoring_arithmetic,
    uncertainty_settings,
)
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.dispatch import ActorPlan
from hybridal_ray.errors import UserError
from hybridal_ray.pool.ledger import LabelCounts, labels_by_video
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool
from hybridal_ray.scoring.shortcuts import Shortcuts
from hybridal_ray.training.settings import LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.trainer import Workers

TREE = {
    "root": "/data",
    "run": "r",
    "pool": {"path": "p"},
    "budget": {"frames_per_video": 7},
    "detector": {"options": {"width": 24}, "feature_cache": "features"},
    "training": {"freeze_encoder": True, "crop": 0.25, "loss": {"class_loss": "spread"}, "workers": 2},
    "scoring": {"proximity_window": 6, "passes": 3},
}


def test_stages_get_plain_values_of_the_same_names() -> None:
    config = parse_config(TREE, "test")
    assert plain(LossSettings, config.training.loss).class_loss == "spread"
    assert plain(OptimiserSettings, config.training).freeze_encoder
    assert plain(SamplingSettings, config.training) == SamplingSettings(crop=0.25)
    assert plain(Workers, config.training, device="cpu") == Workers(2, 1, 0, "cpu", 3)
    assert detector_spec(config, 5) == DetectorSpec("compact", 5, 64, 8, 2, {"width": 24})
    settings = uncertainty_settings(config)
    assert (settings.passes, settings.frames_per_video, settings.window) == (3, 7, 6)
    assert settings.sigma == pytest.approx(8 / 3)


def test_shortcuts_of_scoring_are_off_unless_asked_for() -> None:
    config = parse_config(TREE, "test")
    assert plain(Shortcuts, config.scoring) == Shortcuts()
    assert scoring_arithmetic(config) is None
    asked = {"precision": "bfloat16", "clip_step": 2, "stable_ranking": 0.9}
    config = parse_config({**TREE, "scoring": asked}, "test")
    assert plain(Shortcuts, config.scoring) == Shortcuts(clip_step=2, stable_ranking=0.9)
    assert scoring_arithmetic(config) is torch.bfloat16


def test_a_feature_cache_lies_below_the_root() -> None:
    assert feature_cache(parse_config(TREE, "test")) == "/data/features"
    assert feature_cache(parse_config({"run": "r", "pool": {"path": "p"}}, "test")) is None


def test_a_list_of_finished_scorings_lies_below_the_root_and_is_off_unless_asked_for() -> None:
    assert score_index(parse_config(TREE, "test")) is None
    assert score_index(parse_config({**TREE, "scoring": {"score_index": "scorings"}}, "test")) == "/data/scorings"


def test_actors_may_be_as_many_as_the_cluster_has_and_grow_with_it() -> None:
    asked = {**TREE, "device": "cpu", "scoring": {"actors": "auto", "cpus_per_actor": 2}, "cluster": {"may_grow": True}}
    config = parse_config(asked, "test")
    assert actor_plan(config) == ActorPlan("auto", 2, 0, "cpu", may_grow=True)
    assert config.uses_ray


def pool_of(tmp_path: Path) -> Pool:
    splits = {"a": "train", "b": "val", "c": "val", "d": "test"}
    facts = {"num_frames": 9, "fps": 25.0, "width": 32, "height": 24, "status": "ok", "reason": None}
    videos = [{"video_id": v, "uri": f"{v}.mp4", "split": s, "group": v, **facts} for v, s in splits.items()]
    box = {"class_id": 0, "x1": 0.0, "y1": 0.0, "x2": 4.0, "y2": 4.0, "mask": None}
    tubes = [
        {"video_id": v, "tube_id": t, "frame": f, **box}
        for v, t, f in [("a", "0", 1), ("b", "0", 2), ("b", "1", 2), ("d", "0", 3)]
    ]
    return Pool(
        str(tmp_path),
        "small",
        ("act",),
        pa.Table.from_pylist(videos, schema=VIDEOS_SCHEMA),
        pa.Table.from_pylist(tubes, schema=TUBES_SCHEMA),
    )


def test_the_best_epoch_is_chosen_as_configured(tmp_path: Path) -> None:
    config = parse_config(TREE, "test")
    assert held_out(config, pool_of(tmp_path)) is None
    validation = {"source": "labelled", "fraction": 0.3, "patience": 2}
    tree = {**TREE, "training": {**TREE["training"], "validation": validation}}
    found = held_out(parse_config(tree, "test"), pool_of(tmp_path))
    assert found is not None
    assert dataclasses.astuple(found) == (0.3, None, 2)


def test_the_split_val_is_given_with_its_labels_and_no_other_split_is(tmp_path: Path) -> None:
    tree = {**TREE, "training": {**TREE["training"], "validation": {"source": "val"}}}
    found = held_out(parse_config(tree, "test"), pool_of(tmp_path))
    assert found is not None
    assert found.given is not None
    videos, labels = found.given
    assert [video.video_id for video in videos] == ["b", "c"]
    by_video = labels_by_video(labels)
    assert {video_id: sorted(frames) for video_id, frames in by_video.items()} == {"b": [2]}
    assert [actor.tube_id for actor in by_video["b"][2]] == ["0", "1"]


@pytest.mark.parametrize(
    ("scoring", "measure", "expected"),
    [
        ({}, None, "neg_log"),
        ({"measure": "entropy"}, None, "entropy"),
        ({"measure": "entropy"}, "bald", "bald"),
        ({"passes": 2}, "neighbour_disagreement", "neighbour_disagreement"),
        ({"passes": 4, "stable_ranking": 0.9}, "bald", "bald"),
    ],
)
def test_the_measure_is_that_of_the_strategy_where_it_has_one(scoring, measure, expected):
    assert uncertainty_settings(tiny(scoring), measure).measure == expected


@pytest.mark.parametrize(
    ("scoring", "measure", "message"),
    [
        ({}, "variance", r"selection\.strategy: asks for the measure 'variance', expected one of neg_log, entropy"),
        ({"passes": 1}, "bald", r"scoring\.passes: found 1.*bald compares passes"),
        ({"passes": 1, "measure": "neighbour_disagreement"}, None, r"scoring\.passes: found 1"),
        ({"stable_ranking": 0.9, "passes_at_once": 2}, "bald", r"passes_at_once=2.*two in each half"),
    ],
)
def test_a_measure_that_would_be_nothing_throughout_is_refused(scoring, measure, message):
    with pytest.raises(UserError, match=message):
        uncertainty_settings(tiny(scoring), measure)


def tiny(scoring: dict[str, Any]) -> Config:
    return parse_config({"run": "r", "pool": {"path": "p"}, "scoring": scoring}, "test")


@pytest.mark.parametrize(("labelled", "steps"), [(0, 1), (1, 1), (4, 3), (170, 128)])
def test_an_epoch_of_automatic_length_grows_with_the_labelled_videos(labelled: int, steps: int) -> None:
    training = {"steps_per_epoch": "auto", "clips_per_video": 6, "batch_size": 8, "epochs": 3}
    config = parse_config({**TREE, "training": training, "detector": {}}, "here")
    found = optimiser_settings(config, LabelCounts(labelled, 1000))
    assert (found.epochs, found.steps_per_epoch) == (3, steps)


@pytest.mark.parametrize(("labelled", "steps"), [(0, 1), (1, 1), (6, 2), (680, 128)])
def test_or_with_the_labelled_frames_however_many_videos_they_are_in(labelled: int, steps: int) -> None:
    training = {"steps_per_epoch": "auto", "clips_per_frame": 1.5, "clips_per_video": 50, "batch_size": 8}
    config = parse_config({**TREE, "training": training, "detector": {}}, "here")
    assert {optimiser_settings(config, LabelCounts(videos, labelled)).steps_per_epoch for videos in (1, 9)} == {steps}


def test_an_epoch_of_a_given_length_does_not() -> None:
    training = {"steps_per_epoch": 55, "clips_per_video": 6}
    config = parse_config({**TREE, "training": training, "detector": {}}, "here")
    found = {optimiser_settings(config, LabelCounts(labelled, 9)).steps_per_epoch for labelled in (0, 3, 1000)}
    assert found == {55}


@pytest.mark.parametrize(
    ("written", "bought"), [(7, [7, 7, 7, 7]), ([5], [5, 5, 5, 5]), ([5, 9], [5, 9, 9, 9]), ([5, 9, 2], [5, 9, 2, 2])]
)
def test_every_round_may_buy_from_a_number_of_videos_of_its_own(written: Any, bought: list[int]) -> None:
    budget = parse_config({**TREE, "budget": {"videos_per_round": written}}, "here").budget
    assert [budget.videos_in(round_index) for round_index in range(4)] == bought


@pytest.mark.parametrize("written", [0, [], [5, 0], "all"])
def test_no_round_buys_from_no_video(written: Any) -> None:
    with pytest.raises(UserError, match=r"budget\.videos_per_round"):
        parse_config({**TREE, "budget": {"videos_per_round": written}}, "here")
