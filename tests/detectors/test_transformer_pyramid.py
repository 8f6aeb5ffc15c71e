"""Oracles: the shapes of the interface, a checkpoint that outlives the directory its architecture was read from."""

import builtins
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hybridal_ray.detectors.building import build_detector, settled_spec
from hybridal_ray.detectors.checkpoint import load_detector, save_detector
from hybridal_ray.detectors.dropout import seeded_dropout
from hybridal_ray.detectors.feature_cache import FeatureCache
from hybridal_ray.detectors.interface import Detector, DetectorSpec, encoder_of
from hybridal_ray.errors import UserError

CONFIG: dict[str, Any] = {
    "model_type": "videomae",
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "num_frames": 4,
}


def spec(**options: Any) -> DetectorSpec:
    return DetectorSpec("transformer_pyramid", 3, 32, 4, 2, {"config": CONFIG, "pyramid_width": 16} | options)


def test_without_the_library_the_way_to_install_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    real_import = builtins.__import__

    def no_transformers(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "transformers":
            raise ImportError("No module named 'transformers'")
        return real_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", no_transformers)
    with pytest.raises(UserError, match=r"No module named .* pip install -c constraints.txt '\.\[transformers\]'"):
        build_detector(spec())


class TestWithTheLibrary:
    @pytest.fixture(autouse=True)
    def _library(self) -> None:
        pytest.importorskip("transformers", reason="the extra `transformers` is not installed")

    @pytest.fixture
    def detector(self) -> Any:
        torch.manual_seed(0)
        return build_detector(spec(dropout=0.5)).eval()

    @pytest.mark.parametrize(("clips", "frames", "size"), [(2, 4, 32), (1, 8, 48)])
    def test_shapes(self, detector: Any, clips: int, frames: int, size: int) -> None:
        output = detector(torch.randn(clips, 3, frames, size, size))
        assert output.mask_logits.shape == (clips, frames, size, size)
        assert output.class_scores.shape == (clips, 3)
        assert output.class_maps.shape == (clips, 3, frames, size // 8, size // 8)
        assert torch.isfinite(output.latent).all()

    def test_it_is_a_detector_whose_dropout_lies_in_decode_alone(self, detector: Any) -> None:
        assert isinstance(detector, Detector)
        assert encoder_of(detector) is detector.encoder
        clips = torch.randn(1, 3, 4, 32, 32)
        detector.encoder.train()
        with seeded_dropout(detector, [torch.Generator().manual_seed(0)]):
            features, dropped = detector.encode(clips), detector(clips)
        assert all(torch.equal(one, other) for one, other in zip(features, detector.encode(clips), strict=True))
        for name in ("mask_logits", "class_scores", "latent"):
            assert not torch.allclose(getattr(dropped, name), getattr(detector(clips), name))

    def test_neck_and_head_are_trained_when_the_encoder_is_frozen(self, detector: Any) -> None:
        detector.train().encoder.requires_grad_(False)
        output = detector(torch.randn(2, 3, 4, 32, 32))
        (output.mask_logits.square().mean() + output.class_scores.square().sum()).backward()
        trained = [parameter for parameter in detector.parameters() if parameter.requires_grad]
        assert trained
        assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)

    def test_only_what_the_encoder_gives_is_kept_so_a_trained_neck_is_seen(self, detector: Any, tmp_path: Path) -> None:
        clips = torch.randn(1, 3, 4, 32, 32)
        cache = FeatureCache(str(tmp_path), detector, spec(dropout=0.5))
        arguments = (str(tmp_path / "walk.mp4"), np.array([[0, 2, 4, 6]]))
        with torch.inference_mode():
            cache.encode(*arguments, lambda: clips)
            detector.neck[0][0].weight.add_(1.0)
            kept = cache.encode(*arguments, lambda: pytest.fail("encoded again"))
            expected = detector.encode(clips)
        assert all(torch.equal(one, other) for one, other in zip(kept, expected, strict=True))

    def test_a_checkpoint_outlives_the_directory_of_its_architecture(self, tmp_path: Path) -> None:
        model = tmp_path / "model"
        model.mkdir()
        (model / "config.json").write_text(json.dumps(CONFIG | {"decoder_hidden_size": 8}))
        of_directory = spec(config=str(model))
        assert settled_spec(of_directory).options["config"] == CONFIG
        detector = build_detector(of_directory).eval()
        save_detector(str(tmp_path / "kept"), of_directory, detector.state_dict(), None)
        shutil.rmtree(model)
        loaded = load_detector(str(tmp_path / "kept"))
        clips = torch.randn(1, 3, 4, 32, 32)
        assert torch.equal(loaded.detector(clips).mask_logits, detector(clips).mask_logits)

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"clip_frames": 5}, "clip_frames is 5, expected a multiple of 2"),
            ({"input_size": 40}, "input_size is 40, expected a multiple of 16"),
            ({"options": {"config": CONFIG, "pyramid_width": 8}}, "pyramid_width is 8, expected a multiple of 16"),
            ({"options": {"config": {"model_type": "bert"}}}, "config.model_type is 'bert'"),
            ({"options": {"config": "/nowhere"}}, "/nowhere/config.json: no such file"),
            ({"options": {}}, r"options\.config: is missing"),
        ],
    )
    def test_what_it_cannot_take_is_refused(self, changed: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            build_detector(DetectorSpec(**vars(spec()) | changed))
