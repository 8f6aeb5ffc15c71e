"""Oracles: the detector built by hand under the same seed, tensor by tensor; files as encoders of the field are."""

import dataclasses
from pathlib import Path

import pytest
import torch

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.training.first_weights import pretrained_weights
from hybridal_ray.training.seeding import seed_torch

SPEC = DetectorSpec("i3d_pyramid", 3, 32, 4, 2, {"width": 0.1, "pyramid_width": 16})
VIDEOMAE = {
    "model_type": "videomae", "image_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 16, "num_frames": 4,
}  # fmt: skip


def other_encoder(spec: DetectorSpec) -> torch.nn.Module:
    torch.manual_seed(99)
    return build_detector(spec).encoder


def test_the_encoder_is_that_of_the_file_and_the_rest_that_of_a_cold_start(tmp_path: Path) -> None:
    stored = {name: tensor + 1 for name, tensor in other_encoder(SPEC).state_dict().items()}
    torch.save(stored, tmp_path / "rgb.pt")
    state = torch.get_rng_state()
    weights, told = pretrained_weights(SPEC, str(tmp_path / "rgb.pt"), allow_partial=False, seed=7)
    assert torch.equal(torch.get_rng_state(), state)
    seed_torch(7)
    fresh = build_detector(SPEC).state_dict()
    assert weights.keys() == fresh.keys()
    for name, tensor in weights.items():
        encoder_key = name.removeprefix("encoder.")
        assert torch.equal(tensor, stored[encoder_key] if name.startswith("encoder.") else fresh[name]), name
    assert told == f"{tmp_path / 'rgb.pt'}: {len(stored)} tensors loaded"


def test_a_file_that_fits_in_part_is_refused_unless_allowed(tmp_path: Path) -> None:
    stored = dict(other_encoder(SPEC).state_dict())
    del stored["Mixed_4f.b0.conv3d.weight"]
    torch.save(stored, tmp_path / "rgb.pt")
    with pytest.raises(UserError, match=r"rgb\.pt: detector\.pretrained: .*Mixed_4f\.b0\.conv3d\.weight"):
        pretrained_weights(SPEC, str(tmp_path / "rgb.pt"), allow_partial=False, seed=7)
    _, told = pretrained_weights(SPEC, str(tmp_path / "rgb.pt"), allow_partial=True, seed=7)
    assert "1 missing in the file (Mixed_4f.b0.conv3d.weight)" in told


def test_an_encoder_of_the_transformers_library_reads_its_own_directory(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    spec = DetectorSpec("transformer_pyramid", 3, 32, 4, 2, {"config": VIDEOMAE, "pyramid_width": 16})
    other = other_encoder(spec)
    other.body.model.save_pretrained(tmp_path / "videomae")
    weights, told = pretrained_weights(spec, str(tmp_path / "videomae"), allow_partial=False, seed=7)
    for name, tensor in other.state_dict().items():
        assert torch.equal(weights[f"encoder.{name}"], tensor), name
    assert told.startswith(f"{tmp_path / 'videomae'}: all ")


def test_a_detector_without_an_encoder_of_its_own_cannot_be_pretrained(tmp_path: Path) -> None:
    own = dataclasses.replace(SPEC, name="own_detector:OneClassDetector", options={})
    with pytest.raises(
        UserError, match=r"^detector\.pretrained: the detector 'own_detector:OneClassDetector' keeps no"
    ):
        pretrained_weights(own, str(tmp_path / "rgb.pt"), allow_partial=False, seed=7)


def checkpoint(directory: Path, spec: DetectorSpec) -> str:
    torch.manual_seed(99)
    save_detector(str(directory), spec, build_detector(spec).state_dict(), None)
    return str(directory)


def test_a_checkpoint_of_another_pool_gives_all_but_the_classes(tmp_path: Path) -> None:
    location = checkpoint(tmp_path / "checkpoint", dataclasses.replace(SPEC, num_classes=5))
    torch.manual_seed(99)
    stored = build_detector(dataclasses.replace(SPEC, num_classes=5)).state_dict()
    weights, told = pretrained_weights(SPEC, location, allow_partial=False, seed=7)
    seed_torch(7)
    fresh = build_detector(SPEC).state_dict()
    assert weights.keys() == fresh.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, (fresh if "class_head" in name else stored)[name]), name
    assert told.endswith("fresh: head.class_head.weight, head.class_head.bias")
    build_detector(SPEC).load_state_dict(weights)


def test_a_checkpoint_with_as_many_classes_is_taken_whole(tmp_path: Path) -> None:
    weights, told = pretrained_weights(SPEC, checkpoint(tmp_path / "c", SPEC), allow_partial=False, seed=7)
    torch.manual_seed(99)
    for name, tensor in build_detector(SPEC).state_dict().items():
        assert torch.equal(weights[name], tensor), name
    assert told.endswith(f"{len(weights)} tensors loaded")


def test_a_checkpoint_of_another_width_is_refused_unless_a_part_is_allowed(tmp_path: Path) -> None:
    wider = dataclasses.replace(SPEC, options={"width": 0.1, "pyramid_width": 32})
    location = checkpoint(tmp_path / "c", wider)
    with pytest.raises(UserError, match=r"detector\.pretrained: head\..* is \(.*\) in the checkpoint, expected \("):
        pretrained_weights(SPEC, location, allow_partial=False, seed=7)
    weights, told = pretrained_weights(SPEC, location, allow_partial=True, seed=7)
    build_detector(SPEC).load_state_dict(weights)
    assert "fresh: head.laterals.0.weight" in told


def test_a_checkpoint_of_another_detector_is_refused(tmp_path: Path) -> None:
    location = checkpoint(tmp_path / "c", DetectorSpec("compact", 3, 32, 4, 2, {}))
    with pytest.raises(UserError, match=r"a checkpoint of .compact., expected one of .i3d_pyramid."):
        pretrained_weights(SPEC, location, allow_partial=True, seed=7)
