"""What the arms of a comparison are set to, where they differ."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from hybridal_ray.dotted_fields import leaves, without

# Where a run lies and is told of, and which of several it is.
_OF_A_RUN = frozenset({"root", "run", "seed", "tracking", "cluster", "pool_identity"})


@dataclass(frozen=True)
class ArmSettings:
    """The fields that arms differ in, with their values as overrides write them.

    Attributes:
        common: What more than half of the arms have, by dotted name.
        of_arm: What an arm has else, by arm and dotted name; a field that it lacks, such as an option, is left out.
    """

    common: Mapping[str, str] = field(default_factory=dict)
    of_arm: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def differing_settings(configurations: Mapping[str, Mapping[str, Any]]) -> ArmSettings:
    """Tells arms apart.

    Args:
        configurations: The resolved configuration of one run of each arm.
    """
    fields = {arm: without(leaves(tree), _OF_A_RUN) for arm, tree in configurations.items()}
    common: dict[str, str] = {}
    of_arm: dict[str, dict[str, str]] = {arm: {} for arm in fields}
    for name in dict.fromkeys(name for known in fields.values() for name in known):
        values = {arm: _text(known, name) for arm, known in fields.items()}
        if len(set(values.values())) == 1:
            continue
        commonest, count = Counter(values.values()).most_common(1)[0]
        usual = commonest if 2 * count > len(values) else None
        if usual:
            common[name] = usual
        for arm, value in values.items():
            if value and value != usual:
                of_arm[arm][name] = value
    return ArmSettings(common, of_arm)


def _text(fields: Mapping[str, Any], name: str) -> str:
    """A value on one line, empty where there is none."""
    if name not in fields:
        return ""
    return str(yaml.safe_dump(fields[name], default_flow_style=True, width=10_000)).removesuffix("...\n").strip()
