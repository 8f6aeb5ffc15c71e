"""What a stopping criterion is told of the rounds, and what it answers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Unit = Literal["frames", "videos", "seconds"]


@dataclass(frozen=True)
class Measured:
    """One figure of a round's detector on the validation videos.

    Attributes:
        value: In [0, 1].
        interval: Lower and upper end of its 95 % interval; None where there is none.
    """

    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class RoundFacts:
    """All that the criteria may know of a round that has said what to label next. No test figure is among it.

    Attributes:
        round: From 0.
        labour_seconds: Of all the labels that the round was trained on, modelled or measured; where answers do not
            tell, as expected.
        validation: Figures on the validation videos, by name; empty where no criterion asks for any.
        uncertainty: Mean uncertainty of the pool's frames, None where the round did not score the pool.
        picked: Frames that it would have labelled next.
        bounded_by: The budget to which that purchase was cut; None where it was not.
    """

    round: int
    labour_seconds: float
    validation: Mapping[str, Measured] = field(default_factory=dict)
    uncertainty: float | None = None
    picked: int = 1
    bounded_by: Unit | None = None


class Criterion(Protocol):
    """Says whether a run is to end.

    A criterion is a function of the rounds alone, so that a job that was killed decides the same again.
    """

    @property
    def name(self) -> str:
        """As in the configuration, and in what is told of the end."""
        ...

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """Why the run is to end after the last of these rounds, in one line; None where it is to go on.

        Args:
            rounds: All rounds so far, one or more, from round 0 on.
        """
        ...


@dataclass(frozen=True)
class End:
    """The end of a run.

    Attributes:
        criterion: Name of the criterion that ended it.
        round: The last round.
        reason: Why, in one line.
    """

    criterion: str
    round: int
    reason: str


def first_to_hold(criteria: Iterable[Criterion], rounds: Sequence[RoundFacts]) -> End | None:
    """The end that the first criterion to hold brings, in the order given; None where none holds."""
    for criterion in criteria:
        reason = criterion.holds(rounds)
        if reason is not None:
            return End(criterion.name, rounds[-1].round, reason)
    return None
