"""The session of a training in this process, without Ray."""

from collections.abc import Callable

import pyarrow as pa
import torch
from torch import nn

from hybridal_ray.pool import storage
from hybridal_ray.training.task import State

STATE_FILE = "state.pt"  # what an interrupted training goes on from
EpochProgress = Callable[[dict[str, float]], None]


class LocalSession:
    """One worker in this process; the state of the last epoch lies beside the stage's results.

    Args:
        device: That trains.
        out_dir: Of the stage.
        progress: Called with the metrics of each epoch.
    """

    rank = 0
    world_size = 1

    def __init__(self, device: torch.device, out_dir: str, progress: EpochProgress | None) -> None:
        self.device = device
        self.location = storage.join(out_dir, STATE_FILE)
        self.progress = progress

    def wrap(self, detector: nn.Module) -> nn.Module:
        """See `Session`."""
        return detector.to(self.device)

    def resume(self) -> State | None:
        """See `Session`."""
        if not storage.exists(self.location):
            return None
        return torch.load(pa.BufferReader(storage.read_bytes(self.location)), map_location="cpu", weights_only=True)

    def epoch_done(self, metrics: dict[str, float], state: State) -> None:
        """See `Session`."""
        sink = pa.BufferOutputStream()
        torch.save(state, sink)
        storage.write_bytes(self.location, sink.getvalue().to_pybytes())
        if self.progress is not None:
            self.progress(metrics)
