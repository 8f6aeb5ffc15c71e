"""Oracle: a file written key by key in the layout of the port, down to the logits, and the tensors in it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hybridal_ray.detectors.i3d import I3D
from hybridal_ray.detectors.pretrained import load_encoder
from hybridal_ray.errors import UserError

WIDTH = 0.1
BRANCHES = ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")
BLOCKS = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
UNITS = ["Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"] + [f"Mixed_{b}.{unit}" for b in BLOCKS for unit in BRANCHES]
BEYOND = len([unit for unit in UNITS if unit.startswith("Mixed_5")]) * 6 + 2


def port_file(classes: int = 157) -> dict[str, Tensor]:
    """A whole network as the port saves it: 57 convolutions with batch normalisation, then logits with a bias."""
    generator = torch.Generator().manual_seed(5)
    shapes = {key: value.shape for key, value in I3D("Mixed_5c", WIDTH).state_dict().items()}
    state: dict[str, Tensor] = {}
    for unit in UNITS:
        state[f"{unit}.conv3d.weight"] = torch.randn(shapes[f"{unit}.conv3d.weight"], generator=generator)
        channels = len(state[f"{unit}.conv3d.weight"])
        for name in ("weight", "bias", "running_mean", "running_var"):
            state[f"{unit}.bn.{name}"] = torch.rand(channels, generator=generator)
        state[f"{unit}.bn.num_batches_tracked"] = torch.tensor(7)
    state["logits.conv3d.weight"] = torch.randn(classes, 104, 1, 1, 1, generator=generator)
    state["logits.conv3d.bias"] = torch.randn(classes, generator=generator)
    return state


def saved(tmp_path: Path, content: object) -> str:
    path = tmp_path / "rgb_charades.pt"
    torch.save(content, path)
    return str(path)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {"state_dict": state, "epoch": 3},
        lambda state: {"model_state_dict": {f"module.{key}": value for key, value in state.items()}},
    ],
)
def test_a_whole_file_fills_the_encoder_up_to_its_endpoint(
    tmp_path: Path, wrap: Callable[[dict[str, Tensor]], object]
) -> None:
    stored = port_file()
    encoder = I3D("Mixed_4f", WIDTH)
    load = load_encoder(encoder, saved(tmp_path, wrap(stored)), allow_partial=False)
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, stored[key]), key
    assert set(load.loaded) == set(encoder.state_dict())
    assert load.missing == load.mismatched == ()
    assert len(load.unexpected) == BEYOND
    assert {"logits.conv3d.weight", "Mixed_5b.b0.conv3d.weight"} <= set(load.unexpected)
    line = load.describe()
    assert "\n" not in line
    assert f"{len(load.loaded)} tensors loaded" in line
    assert f"{BEYOND} of the file not used" in line


def test_counters_of_batches_may_be_missing(tmp_path: Path) -> None:
    stored = {key: value for key, value in port_file().items() if not key.endswith("num_batches_tracked")}
    load = load_encoder(I3D("Mixed_4f", WIDTH), saved(tmp_path, stored), allow_partial=False)
    assert load.missing == ()


def test_a_missing_tensor_is_refused_unless_allowed(tmp_path: Path) -> None:
    stored = port_file()
    del stored["Mixed_4f.b0.conv3d.weight"], stored["Mixed_4f.b0.bn.bias"]
    location = saved(tmp_path, stored)
    encoder = I3D("Mixed_4f", WIDTH)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    with pytest.raises(UserError, match=r"rgb_charades.pt: detector.pretrained.*2 missing.*Mixed_4f.b0.conv3d.weight"):
        load_encoder(encoder, location, allow_partial=False)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    load = load_encoder(encoder, location, allow_partial=True)
    assert set(load.missing) == {"Mixed_4f.b0.conv3d.weight", "Mixed_4f.b0.bn.bias"}
    after = encoder.state_dict()
    assert torch.equal(after["Mixed_4f.b0.conv3d.weight"], before["Mixed_4f.b0.conv3d.weight"])
    assert torch.equal(after["Mixed_4e.b0.conv3d.weight"], stored["Mixed_4e.b0.conv3d.weight"])


def test_another_shape_is_refused_unless_allowed(tmp_path: Path) -> None:
    stored = port_file()
    stored["Conv3d_1a_7x7.conv3d.weight"] = torch.zeros(8, 2, 7, 7, 7)  # optical flow has two channels
    location = saved(tmp_path, stored)
    with pytest.raises(UserError, match=r"of another shape.*\(8, 2, 7, 7, 7\) in the file, expected \(8, 3, 7, 7, 7\)"):
        load_encoder(I3D("Mixed_4f", WIDTH), location, allow_partial=False)
    load = load_encoder(I3D("Mixed_4f", WIDTH), location, allow_partial=True)
    assert load.mismatched == ("Conv3d_1a_7x7.conv3d.weight",)


@pytest.mark.parametrize("allow_partial", [False, True])
@pytest.mark.parametrize(
    "content",
    [
        {"backbone.weight": torch.zeros(3)},
        {"Conv3d_1a_7x7.bn.num_batches_tracked": torch.tensor(7)},
        {"Conv3d_1a_7x7.conv3d.weight": torch.zeros(64, 3, 7, 7, 7)},
    ],
)
def test_nothing_that_fits_is_always_refused(tmp_path: Path, content: dict[str, Tensor], allow_partial: bool) -> None:
    with pytest.raises(UserError, match=r"detector.pretrained: nothing in the file fits"):
        load_encoder(I3D("Mixed_4f", WIDTH), saved(tmp_path, content), allow_partial=allow_partial)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {}, {1: torch.zeros(2)}])
def test_a_file_without_a_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(UserError, match="found no state dict"):
        load_encoder(I3D("Mixed_4f", WIDTH), saved(tmp_path, content), allow_partial=True)


class Malicious:
    """Pickled code; what it would run leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.trace,)


def test_code_in_a_file_is_not_run(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    with pytest.raises(UserError, match="not a readable file of weights"):
        load_encoder(I3D("Mixed_4f", WIDTH), saved(tmp_path, {"a": Malicious(trace)}), allow_partial=True)
    assert not trace.exists()


def test_a_missing_or_damaged_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_encoder(I3D("Mixed_4f", WIDTH), str(tmp_path / "none.pt"), allow_partial=False)
    (tmp_path / "bad.pt").write_bytes(b"no weights")
    with pytest.raises(UserError, match="not a readable file of weights"):
        load_encoder(I3D("Mixed_4f", WIDTH), str(tmp_path / "bad.pt"), allow_partial=False)
    (tmp_path / "empty.pt").touch()
    with pytest.raises(UserError, match=r"empty\.pt: detector\.pretrained: the file is empty, expected weights$"):
        load_encoder(I3D("Mixed_4f", WIDTH), str(tmp_path / "empty.pt"), allow_partial=False)
