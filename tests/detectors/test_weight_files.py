"""Oracle: what was saved; files damaged by hand."""

from pathlib import Path

import pytest
import torch

from hybridal_ray.detectors.weight_files import read_weights
from hybridal_ray.errors import UserError


def test_what_was_saved_comes_back(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(3), "epoch": 3}, tmp_path / "kept.pt")
    found = read_weights(str(tmp_path / "kept.pt"))
    assert (found["a"].tolist(), found["epoch"]) == ([0, 1, 2], 3)


@pytest.mark.parametrize("length", [0, 1, 5, 200, -30])
def test_a_file_that_is_cut_off_is_told_in_one_line_with_a_reason(tmp_path: Path, length: int) -> None:
    place = tmp_path / "cut.pt"
    torch.save({"a": torch.arange(300)}, place)
    place.write_bytes(place.read_bytes()[:length])
    with pytest.raises(UserError, match=r"cut\.pt: detector\.pretrained: .*[^ :]$") as caught:
        read_weights(str(place), "detector.pretrained")
    assert "\n" not in str(caught.value)
    assert ("the file is empty" in str(caught.value)) == (length == 0)
