"""A session that keeps every epoch in memory, for the tests of training."""

import copy

import torch


class MemorySession:
    """One worker; begins with a state where one is given."""

    rank = 0
    world_size = 1
    device = torch.device("cpu")

    def __init__(self, state: dict | None = None) -> None:
        self.state = state
        self.states: list[dict] = []
        self.metrics: list[dict[str, float]] = []

    def wrap(self, detector: torch.nn.Module) -> torch.nn.Module:
        return detector

    def resume(self) -> dict | None:
        return copy.deepcopy(self.state)

    def epoch_done(self, metrics: dict[str, float], state: dict) -> None:
        self.metrics.append(metrics)
        self.states.append(copy.deepcopy(state))
