"""The budget, or the pool, is used up."""

from collections.abc import Sequence
from dataclasses import dataclass

from hybridal_ray.stopping.criterion import RoundFacts, Unit


@dataclass(frozen=True)
class BudgetSpent:
    """Holds when the budget leaves nothing of a round's purchase.

    Purchases are cut to the budget (`purchase_bounds`), so the last one buys what is left of it, and one more round
    is trained on all that was bought. A larger budget never ends a run earlier.

    Attributes:
        unit: What the budget counts.
        limit: Of the whole run.
    """

    unit: Unit
    limit: float

    @property
    def name(self) -> str:
        """``frames``, ``videos`` or ``seconds``."""
        return self.unit

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        last = rounds[-1]
        if last.picked or last.bounded_by != self.unit:
            return None
        return f"the budget of {self.limit:g} {self.unit} leaves nothing to buy"


@dataclass(frozen=True)
class PoolUsedUp:
    """Holds when a round found nothing to buy, and no budget was in its way."""

    name: str = "pool"

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        last = rounds[-1]
        return None if last.picked or last.bounded_by is not None else "nothing of the pool is left to buy"
