"""As many rounds as were asked for are done."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridal_ray.stopping.criterion import RoundFacts


@dataclass(frozen=True)
class RoundsDone:
    """Holds after the last round that was asked for.

    Attributes:
        rounds: How many.
    """

    rounds: int
    name: str = "rounds"

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        return f"all rounds asked for, {self.rounds}, are done" if rounds[-1].round + 1 >= self.rounds else None
