"""The detector is no longer getting surer of the pool."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridal_ray.stopping.criterion import RoundFacts


@dataclass(frozen=True)
class FlatUncertainty:
    """Holds when the mean uncertainty of the pool has stayed within a narrow band.

    Of the kind "overall uncertainty" in Zhu, Wang, Hovy and Ma, "Confidence-based stopping criteria for active
    learning for data annotation", ACM Transactions on Speech and Language Processing 6(3), 2010. They ask for a low
    value; an uncertainty by dropout has no scale on which one is known to be low, so it is asked to stay put. It needs
    no validation labels. A detector that finds nobody anywhere never ends a run.

    Attributes:
        change: Width of the band, relative to its mean, above 0. A narrower one never ends a run earlier.
        rounds: Steps from one round to the next that must stay in the band.
    """

    change: float
    rounds: int = 2
    name: str = "flat_uncertainty"

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        if len(rounds) <= self.rounds:
            return None
        last = [facts.uncertainty for facts in rounds[-1 - self.rounds :]]
        known = [value for value in last if value is not None]
        if len(known) < len(last):
            return None
        span, mean = max(known) - min(known), abs(sum(known) / len(known))
        if not span < self.change * mean:
            return None
        return (
            f"the mean uncertainty of the pool changed by {span / mean:.2%} over {self.rounds} rounds, "
            f"which is less than {self.change:.2%}"
        )
