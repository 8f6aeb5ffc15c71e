"""The arithmetic of a comparison: areas, paired differences, intervals, labels that a target takes.

Functions of numbers alone. A curve is given by its budgets, ascending, and its values at them, and is taken to be
straight between two budgets.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

CONFIDENCE = 0.95

Numbers = Sequence[float] | npt.NDArray[np.floating]


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds.

    Attributes:
        mean: Of the values.
        deviation: Their standard deviation (n − 1 in the denominator), None for a single value.
        low: Lower end of the 95 % confidence interval of the mean, by Student's t over seeds; None for a single value.
        high: Its upper end.
        n: Number of values.
    """

    mean: float
    deviation: float | None
    low: float | None
    high: float | None
    n: int

    @property
    def excludes_zero(self) -> bool:
        """Whether zero lies outside the interval; never for a single value."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def estimate(values: Numbers) -> Estimate:
    """The mean of values and its interval.

    Args:
        values: One or more, independent of one another: one a seed.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Estimate(mean, None, None, None, n)
    deviation = float(np.std(values, ddof=1))
    half = float(student.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Estimate(mean, deviation, mean - half, mean + half, n)


def common_range(budgets: Sequence[Numbers]) -> tuple[float, float] | None:
    """The budgets that all curves cover, None where they have no more than a point in common.

    Args:
        budgets: Of each curve, ascending.
    """
    if not budgets or any(len(each) == 0 for each in budgets):
        return None
    low, high = max(each[0] for each in budgets), min(each[-1] for each in budgets)
    return (float(low), float(high)) if low < high else None


def value_at(budgets: Numbers, values: Numbers, at: float) -> float | None:
    """The value of a curve at a budget, None where the curve does not reach there."""
    if len(budgets) == 0 or not budgets[0] <= at <= budgets[-1]:
        return None
    return float(np.interp(at, budgets, values))


def area(budgets: Numbers, values: Numbers, low: float, high: float) -> float:
    """The area under a curve between two budgets, divided by their distance: the mean value over these budgets.

    Args:
        budgets: (N,), ascending, from `low` or below to `high` or above.
        values: (N,).
        low: First budget.
        high: Last budget, above `low`.

    Returns:
        In the unit of the values; of a constant curve, the constant.
    """
    inside = [budget for budget in budgets if low < budget < high]
    grid = np.array([low, *inside, high], dtype=float)
    return float(np.trapezoid(np.interp(grid, budgets, values), grid) / (high - low))


def budget_for(budgets: Numbers, values: Numbers, target: float) -> float | None:
    """The first budget at which a curve reaches a target, None where it never does.

    Args:
        budgets: (N,), ascending.
        values: (N,); they may fall again after they have reached the target.
        target: In the unit of the values.

    Returns:
        Interpolated between the last budget below the target and the first at or above it; the first budget of all
        where the curve begins there.
    """
    for index, value in enumerate(values):
        if value >= target:
            if index == 0:
                return float(budgets[0])
            below, before = float(values[index - 1]), float(budgets[index - 1])
            return before + (target - below) / (value - below) * (float(budgets[index]) - before)
    return None
