"""Labels no longer pay: what an hour of labelling gains is surely below a threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hybridal_ray.stopping.criterion import Measured, RoundFacts

SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Gain:
    """What labels gained.

    Attributes:
        value: Gain of the figure an hour of labour.
        low: Lower end of its 95 % interval.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class GainTooSmall:
    """Holds when the upper end of the interval of the gain per labelled hour is below a threshold.

    The slope of the learning curve as a criterion is of Laws and Schütze, "Stopping criteria for active learning of
    named entity recognition", COLING 2008; here it is against labour instead of labels, and a flat stretch that
    may be chance does not count. Nor does one of a detector that finds nothing at all: its figure is 0 whatever
    videos are drawn, which an interval over draws of videos takes for certainty.

    Attributes:
        metric: Name of the figure, on the validation videos.
        per_hour: The threshold, above 0. A lower one never ends a run earlier.
        rounds: Over how many rounds the gain is taken.
    """

    metric: str
    per_hour: float
    rounds: int = 1
    name: str = "gain"

    def holds(self, rounds: Sequence[RoundFacts]) -> str | None:
        """See `Criterion`."""
        if len(rounds) <= self.rounds:
            return None
        before, after = rounds[-1 - self.rounds], rounds[-1]
        reached = after.validation.get(self.metric)
        hours = (after.labour_seconds - before.labour_seconds) / SECONDS_PER_HOUR
        gain = gain_per_hour(before.validation.get(self.metric), reached, hours)
        if gain is None or reached is None or reached.value == 0 or not gain.high < self.per_hour:
            return None
        return (
            f"{self.metric} on validation gained {gain.value:+.4f} a labelled hour since round {before.round}, "
            f"with 95 % certainty between {gain.low:+.4f} and {gain.high:+.4f}, which is below {self.per_hour:g}"
        )


def gain_per_hour(before: Measured | None, after: Measured | None, hours: float) -> Gain | None:
    """The gain of a figure per hour of labour, with an interval from those of the two figures.

    With figures m₁, m₂ and their intervals (l₁, u₁), (l₂, u₂), the difference d = m₂ − m₁ has the interval
    ``d − √((m₂ − l₂)² + (u₁ − m₁)²)`` to ``d + √((u₂ − m₂)² + (m₁ − l₁)²)``: Zou and Donner, "Construction of
    confidence intervals about effect measures", Statistics in Medicine 27, 2008. It takes the two as independent.
    They are figures on the same videos and mostly rise and fall together, so the interval is rather too wide, and a
    run rather goes on too long than ends too early.

    Args:
        before: The figure of an earlier round, with its interval.
        after: The figure of a later round.
        hours: Of labour between them.

    Returns:
        None where a figure or an interval is missing, or no labour is known of.
    """
    if before is None or after is None or before.interval is None or after.interval is None or hours <= 0:
        return None
    (low_before, high_before), (low_after, high_after) = before.interval, after.interval
    difference = after.value - before.value
    # A percentile interval may lie wholly beside its figure; it then adds nothing on that side.
    down = math.hypot(max(after.value - low_after, 0.0), max(high_before - before.value, 0.0))
    up = math.hypot(max(high_after - after.value, 0.0), max(before.value - low_before, 0.0))
    return Gain(difference / hours, (difference - down) / hours, (difference + up) / hours)
