"""Who answers when a frame is picked: the simulated annotator here, people later."""

from collections.abc import Callable, Mapping

from hybridal_ray.oracles.interface import Oracle
from hybridal_ray.oracles.simulated import SimulatedAnnotator

ORACLES: Mapping[str, Callable[..., Oracle]] = {"simulated": SimulatedAnnotator}
