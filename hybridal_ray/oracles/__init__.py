"""Who answers when a frame is picked: the simulated annotator at once, or people when they come to it."""

from collections.abc import Callable, Mapping

from hybridal_ray.oracles.cvat import CvatOracle
from hybridal_ray.oracles.cvat_files import CvatFileOracle
from hybridal_ray.oracles.files import FileOracle
from hybridal_ray.oracles.interface import Oracle, WaitingOracle
from hybridal_ray.oracles.label_studio import LabelStudioOracle
from hybridal_ray.oracles.simulated import SimulatedAnnotator

ORACLES: Mapping[str, Callable[..., Oracle]] = {"simulated": SimulatedAnnotator}
WAITING_ORACLES: Mapping[str, Callable[..., WaitingOracle]] = {
    "files": FileOracle,
    "cvat": CvatOracle,
    "cvat-files": CvatFileOracle,
    "label-studio": LabelStudioOracle,
}
