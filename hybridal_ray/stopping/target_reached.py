"""The detector is as good as was asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridal_ray.stopping.criterion import RoundFacts


@dataclass(frozen=True)
class TargetReached:
    """Holds when a figure on the validation videos reaches a target.

    The oldest of criteria: absolute performance, as in Laws and Schütze, "Stopping criteria for active learning of
    named entity recognition", COLING 2008, but measured on labelled videos instead of estimated by the model. The
    first of many rounds to reach a target may owe it to chance; `surely` asks for more.

    Attributes:
        metric: Name of the figure.
        at_least: The target, in (0, 1]. A higher one never ends a run earlier.
        surely: Ask the lower end of the 95 % interval to reach it, not just the figure.
    """

    metric: str
    at_least: float
    surely: bool = False
    name: str = "target"

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        found = rounds[-1].validation.get(self.metric)
        if found is None or (self.surely and found.interval is None):
            return None
        figure = found.interval[0] if self.surely and found.interval is not None else found.value
        if not figure >= self.at_least:
            return None
        what = f"the lower end of the interval of {self.metric}" if self.surely else self.metric
        return f"{what} is {figure:.4f} on validation, the target {self.at_least:g}"
