"""Oracle: the page itself; its example is run as it is printed, and what it says of dropout is tried."""

import dataclasses
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
import yaml
from made_up_labels import SPEC, write_pool
from torch import Tensor, nn

from hybridal_ray.config import parse_config
from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import load_detector
from hybridal_ray.detectors.dropout import ChannelDropout
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import Detector, DetectorOutput, DetectorSpec, InputChecked
from hybridal_ray.detectors.monte_carlo import monte_carlo_passes, video_pass_seeds
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Video
from hybridal_ray.scoring.video_scoring import UncertaintySettings, VideoScorer
from hybridal_ray.training.settings import ClusteringSettings, LossSettings, OptimiserSettings, SamplingSettings
from hybridal_ray.training.trainer import Workers, train_round

PAGE = (Path(__file__).parents[2] / "docs" / "own_detector.md").read_text()
SETTINGS = UncertaintySettings(
    3, "mean_of_log", "mean", 0.1, 0.0, frames_per_video=2, sigma=8 / 3, window=4, spacing="window"
)


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", PAGE, flags=re.DOTALL)
    return found


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("own")
    (folder / "my_detector.py").write_text(block("python"))
    sys.path.insert(0, str(folder))
    yield dataclasses.replace(SPEC, name="my_detector:MyDetector", options={"width": 8, "dropout": 0.5})
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Video], pa.Table]:
    return write_pool(tmp_path_factory.mktemp("pool"), videos=2, num_frames=14, labelled=(3, 10))


def test_the_configuration_is_one_and_names_the_example(tmp_path: Path) -> None:
    settings = {"root": str(tmp_path), "run": "runs/own", "pool": {"path": "pool"}} | yaml.safe_load(block("yaml"))
    detector = parse_config(settings, "the page").detector
    assert (detector.name, detector.options) == ("my_detector:MyDetector", {"width": 24})


def test_the_example_is_what_the_page_says(spec: DetectorSpec) -> None:
    detector = build_detector(spec)
    assert isinstance(detector, Detector)
    assert isinstance(detector, InputChecked)
    with pytest.raises(UserError, match="input_size is 34, expected a multiple of 4"):
        build_detector(dataclasses.replace(spec, input_size=34))


def test_the_example_trains_a_step_scores_a_video_and_keeps_its_features(
    spec: DetectorSpec, pool: tuple[list[Video], pa.Table], tmp_path: Path
) -> None:
    videos, labels = pool
    summary = train_round(
        spec=spec,
        videos=videos,
        labels=labels,
        out_dir=str(tmp_path),
        loss=LossSettings(),
        clustering=ClusteringSettings(clusters=0),
        optimiser=OptimiserSettings(epochs=1, steps_per_epoch=1, batch_size=2),
        seed=0,
        round_index=0,
        sampling=SamplingSettings(),
        held_out=None,
        initial_weights=None,
        workers=Workers(0, cpus_per_worker=1, gpus_per_worker=0, device="cpu", max_failures=0),
    )
    assert np.isfinite(summary.loss)
    loaded = load_detector(summary.checkpoint)
    cache = FeatureCache(str(tmp_path / "kept"), loaded.detector, loaded.spec)
    rows = [
        VideoScorer(
            loaded.detector,
            loaded.spec,
            SETTINGS,
            run_seed=0,
            round_index=0,
            device=torch.device("cpu"),
            clips_per_batch=1,
            feature_cache=kept,
        ).score_video(videos[0], [])
        for kept in (None, cache, cache)
    ]
    assert rows[0]["error"] is None
    assert max(rows[0]["profile"]) > 0
    assert rows[0] == rows[1] == rows[2]


class Dropped(nn.Module):
    """One convolution behind the dropout it is given."""

    def __init__(self, dropout: nn.Module) -> None:
        super().__init__()
        self.dropout, self.head = dropout, nn.Conv3d(3, 1, kernel_size=1)

    def encode(self, clips: Tensor) -> Tensor:
        return clips

    def decode(self, features: Tensor) -> DetectorOutput:
        logits = self.head(self.dropout(features))[:, 0]
        return DetectorOutput(logits, logits.mean(dim=(2, 3)), logits.mean(dim=(2, 3)))


class FunctionalDropout(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return F.dropout(features, 0.5, training=self.training)


@pytest.mark.parametrize(
    ("dropout", "differ"), [(ChannelDropout(0.5), True), (nn.Dropout3d(0.5), True), (FunctionalDropout(), False)]
)
def test_passes_differ_by_modules_of_dropout_and_not_by_the_function(dropout: nn.Module, differ: bool) -> None:
    torch.manual_seed(0)
    detector = Dropped(dropout).eval()
    clips, seeds = torch.randn(1, 3, 2, 8, 8), video_pass_seeds(0, 0, "walk", clips=1, passes=6)
    passes = monte_carlo_passes(detector, clips, seeds).mask_probabilities[0]
    assert bool((passes != passes[:1]).any()) is differ
