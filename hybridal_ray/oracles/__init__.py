"""Who answers when a frame is picked: the simulated annotator at once, or people when they come to it."""

from collections.abc import Callable, Mapping
from typing import Any

from hybridal_ray.oracles.cvat import CvatOracle
from hybridal_ray.oracles.cvat_files import CvatFileOracle
from hybridal_ray.oracles.files import FileOracle
from hybridal_ray.oracles.interface import Oracle, WaitingOracle
from hybridal_ray.oracles.label_studio import LabelStudioOracle
from hybridal_ray.oracles.simulated import SimulatedAnnotator
from hybridal_ray.registry import resolve

ORACLES: Mapping[str, Callable[..., Oracle]] = {"simulated": SimulatedAnnotator}
WAITING_ORACLES: Mapping[str, Callable[..., WaitingOracle]] = {
    "files": FileOracle,
    "cvat": CvatOracle,
    "cvat-files": CvatFileOracle,
    "label-studio": LabelStudioOracle,
}


def known_oracle(name: str) -> Any:
    """The class of an oracle.

    Args:
        name: Registered, or ``package.module:Name``.

    Raises:
        UserError: There is none.
    """
    return resolve(name, {**ORACLES, **WAITING_ORACLES}, field="oracle.name")


def answers_come_from_people(name: str) -> bool:
    """Whether an oracle asks people; name and errors as in `known_oracle`."""
    return name not in ORACLES and hasattr(known_oracle(name), "send")
