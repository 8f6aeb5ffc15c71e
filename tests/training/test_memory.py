"""Oracles: memory that is really taken, and the error that torch raises."""

import pytest
import torch

from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.training.memory import peak_memory_mib, telling_what_to_lower

SPEC = DetectorSpec("capsules", num_classes=24, input_size=224, clip_frames=8, clip_stride=2)
CPU = torch.device("cpu")


def test_the_peak_of_a_process_counts_what_it_took_and_gave_back() -> None:
    before = peak_memory_mib(CPU)
    size = int(before + 300)
    taken = bytearray(size * 2**20)
    taken[::4096] = b"x" * len(taken[::4096])
    del taken
    assert peak_memory_mib(CPU) > size - 1


def test_a_gpu_that_is_full_ends_in_the_fields_to_change() -> None:
    with (
        pytest.raises(
            UserError, match=r"^training\.batch_size: 4 clips of 8 frames of 224 × 224 .*training\.accumulate"
        ),
        telling_what_to_lower(CPU, SPEC, clips=4),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), telling_what_to_lower(CPU, SPEC, clips=4):
        raise RuntimeError("shapes do not match")
