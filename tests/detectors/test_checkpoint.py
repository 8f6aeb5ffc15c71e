"""Oracle: the tensors that were saved, compared bit by bit; files damaged by hand."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from hybridal_ray.detectors.building import build_detector
from hybridal_ray.detectors.checkpoint import choose_device, load_detector, save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

OPTIONS = {"width": 8, "pyramid_width": 8, "dropout": 0.25}
SPEC = DetectorSpec("compact", num_classes=3, input_size=32, clip_frames=4, clip_stride=2, options=OPTIONS)


@pytest.fixture
def directory(tmp_path: Path) -> str:
    """A checkpoint of fresh weights, with centres."""
    torch.manual_seed(0)
    save_detector(str(tmp_path / "kept"), SPEC, build_detector(SPEC).state_dict(), torch.rand(2, 5))
    return str(tmp_path / "kept")


def test_a_checkpoint_comes_back_bit_by_bit(tmp_path: Path) -> None:
    detector = build_detector(SPEC).train()
    centres = torch.randn(4, 7)
    save_detector(str(tmp_path / "kept"), SPEC, detector.state_dict(), centres)
    loaded = load_detector(str(tmp_path / "kept"))
    assert loaded.spec == SPEC
    assert not any(module.training for module in loaded.detector.modules())
    weights = loaded.detector.state_dict()
    assert weights.keys() == detector.state_dict().keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in detector.state_dict().items())
    np.testing.assert_array_equal(loaded.centres, centres.numpy())
    clips = torch.randn(1, 3, 4, 32, 32)
    assert torch.equal(loaded.detector(clips).mask_logits, detector.eval()(clips).mask_logits)


def test_a_detector_of_the_users_own_comes_back_by_its_dotted_path(tmp_path: Path) -> None:
    spec = dataclasses.replace(SPEC, name="whole_detector:WholeDetector", options={"width": 4})
    detector = build_detector(spec)
    save_detector(str(tmp_path), spec, detector.state_dict(), None)
    loaded = load_detector(str(tmp_path))
    assert torch.equal(loaded.detector.state_dict()["body.weight"], detector.body.weight)
    assert loaded.centres is None


def test_loading_leaves_torchs_generator_alone(directory: str) -> None:
    state = torch.get_rng_state()
    load_detector(directory)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_checkpoint_cut_off_in_the_middle_of_writing_is_not_taken_for_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "write_json", die)
    with pytest.raises(KeyboardInterrupt):
        save_detector(str(tmp_path / "half"), SPEC, build_detector(SPEC).state_dict(), None)
    with pytest.raises(UserError, match=r"half/detector\.json: no such file"):
        load_detector(str(tmp_path / "half"))


def test_weights_of_another_detector_are_refused_by_the_name_of_their_file(directory: str) -> None:
    spec = storage.read_json(storage.join(directory, "detector.json"))
    storage.write_json(storage.join(directory, "detector.json"), spec | {"num_classes": 4})
    with pytest.raises(
        UserError, match=r"kept/weights\.pt: the weights do not fit detector\.json.*class_head"
    ) as caught:
        load_detector(directory)
    assert re.search(r"class_head\S* is \(\d.*\) in the file, expected \(\d.*\); nor do \d+ others$", str(caught.value))
    assert "\n" not in str(caught.value)


def test_weights_that_lack_a_tensor_or_have_one_more_are_refused_by_its_name(directory: str) -> None:
    place = Path(directory, "weights.pt")
    state = torch.load(place, weights_only=True)
    name = next(iter(state["weights"]))
    tensor = state["weights"].pop(name)
    torch.save(state, place)
    with pytest.raises(UserError, match=rf"{re.escape(name)} is missing$"):
        load_detector(directory)
    torch.save({"weights": state["weights"] | {name: tensor, "more": tensor}}, place)
    with pytest.raises(UserError, match=r"more is in the file, and the detector has no such tensor$"):
        load_detector(directory)
    torch.save({"model": state["weights"]}, place)
    with pytest.raises(UserError, match=r"kept/weights\.pt: holds no weights"):
        load_detector(directory)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"no torch file", "not a readable file of weights: ."),
        (b"PK\x03\x04 cut off", "not a readable file of weights: ."),
    ],
)
def test_a_damaged_weights_file_is_refused_by_its_name(directory: str, content: bytes, message: str) -> None:
    Path(directory, "weights.pt").write_bytes(content)
    with pytest.raises(UserError, match=rf"kept/weights\.pt: {message}") as caught:
        load_detector(directory)
    assert "\n" not in str(caught.value)


def test_a_pickle_of_code_is_not_run(directory: str) -> None:
    ran = Path(directory, "ran")

    class Code:
        def __reduce__(self) -> tuple:
            return Path.touch, (ran,)

    torch.save({"weights": Code()}, Path(directory, "weights.pt"))
    with pytest.raises(UserError, match=r"kept/weights\.pt: "):
        load_detector(directory)
    assert not ran.exists()


def test_a_specification_with_other_fields_is_refused_by_its_name(directory: str) -> None:
    storage.write_json(storage.join(directory, "detector.json"), {"name": "compact", "colour": "red"})
    with pytest.raises(UserError, match=r"kept/detector\.json: .*colour"):
        load_detector(directory)


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == torch.device("cpu")
    with pytest.raises(UserError, match=r"^device: 'cuda:1' was asked for, but torch sees no GPU"):
        choose_device("cuda:1")
    with pytest.raises(UserError, match=r"^device: 'gpu' "):
        choose_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")
