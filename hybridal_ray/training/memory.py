"""What memory a worker has needed, and what to do when it does not suffice."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError

MIB = 2**20


def peak_memory_mib(device: torch.device) -> float:
    """The most memory that was in use, in MiB: of the GPU's since the process began, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MIB
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MIB if sys.platform == "darwin" else peak / 1024


@contextmanager
def telling_what_to_lower(device: torch.device, spec: DetectorSpec, clips: int) -> Iterator[None]:
    """Turns the GPU's running out of memory into a message that names the fields to change.

    Args:
        device: Of the worker.
        spec: Of the detector.
        clips: How many clips the worker runs at once.

    Raises:
        UserError: The GPU is out of memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        total = torch.cuda.get_device_properties(device).total_memory / MIB if device.type == "cuda" else 0.0
        raise UserError(
            f"training.batch_size: {clips} clips of {spec.clip_frames} frames of {spec.input_size} × {spec.input_size} "
            f"at once do not fit the GPU ({total:.0f} MiB, {peak_memory_mib(device):.0f} MiB used at the most); lower "
            "training.batch_size, raise training.accumulate or training.workers, or lower detector.input_size"
        ) from error
