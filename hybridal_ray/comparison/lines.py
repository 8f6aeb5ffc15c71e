"""Curves under one metric, and the mean of those of an arm."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hybridal_ray.comparison.answer import MeanPoint
from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.statistics import estimate, value_at

TOLERANCE = 0.02  # of a budget, by which a curve may miss it and still be compared at it


@dataclass(frozen=True)
class Line:
    """A curve under one metric, without rounds that have no such figure.

    Attributes:
        name: Of the run.
        seed: Of the run; None where runs stand side by side.
        pool: Identity of its pool; None where it is not known.
        rounds: Which rounds.
        frames: Labelled frames, ascending, one a round.
        percent: The same in % of the frames.
        seconds: Modelled seconds of labour; None where a round does not know them.
        values: Of the metric.
    """

    name: str
    seed: int | None
    pool: str | None
    rounds: list[int]
    frames: list[float]
    percent: list[float]
    seconds: list[float] | None
    values: list[float]


def line_of(curve: Curve, metric: str) -> Line:
    """The curve of a run under a metric."""
    values = curve.values.get(metric, ())
    known = [index for index, value in enumerate(values) if value is not None]
    seconds = [second for index in known if (second := curve.seconds[index]) is not None]
    return Line(
        curve.name,
        curve.seed,
        curve.pool,
        known,
        [float(curve.frames[index]) for index in known],
        [curve.percent[index] for index in known],
        seconds if len(seconds) == len(known) else None,
        [value for value in values if value is not None],
    )


def near(budgets: Sequence[float], values: Sequence[float], at: float) -> float | None:
    """The value at a budget; a curve that begins a little behind it or ends a little before it counts with that end."""
    if not budgets:
        return None
    nearest = min(max(at, budgets[0]), budgets[-1])
    return value_at(budgets, values, nearest if abs(nearest - at) <= at * TOLERANCE else at)


def mean_curve(lines: Sequence[Line]) -> list[MeanPoint]:
    """The mean over runs: round by round where they have the same budgets, else between their rounds too.

    Runs that a budget or a criterion ends have other budgets in a round than their seeds' fellows; their figures of
    that round are not figures at the mean of these.

    Args:
        lines: Of one arm, one a seed.
    """
    there = [line for line in lines if line.frames]
    rounds = sorted({index for line in there for index in line.rounds})
    budgets = [[line.frames[line.rounds.index(each)] for line in there if each in line.rounds] for each in rounds]
    if all(max(of_round) <= min(of_round) * (1 + TOLERANCE) for of_round in budgets):
        at_rounds = zip(rounds, (float(np.mean(of_round)) for of_round in budgets), strict=True)
        return [_mean_point(there, at, index) for index, at in at_rounds]
    return [_mean_point(there, at, None) for at in sorted({at for line in there for at in line.frames})]


def _mean_point(lines: Sequence[Line], at: float, round_index: int | None) -> MeanPoint:
    """At a budget in labelled frames, over the runs that have that round, or that come so far."""
    if round_index is None:
        reach = [line for line in lines if near(line.frames, line.values, at) is not None]
    else:
        reach = [line for line in lines if round_index in line.rounds]

    def of(numbers: list[list[float]]) -> list[float]:
        if round_index is None:
            found = [near(line.frames, each, at) for line, each in zip(reach, numbers, strict=True)]
            return [value for value in found if value is not None]
        return [each[line.rounds.index(round_index)] for line, each in zip(reach, numbers, strict=True)]

    seconds = of([line.seconds for line in reach if line.seconds is not None]) if _all_timed(reach) else None
    return MeanPoint(
        round=round_index,
        frames=at,
        percent=float(np.mean(of([line.percent for line in reach]))),
        seconds=None if seconds is None else float(np.mean(seconds)),
        value=estimate(of([line.values for line in reach])),
        missing=len(lines) - len(reach),
    )


def _all_timed(lines: Sequence[Line]) -> bool:
    return all(line.seconds is not None for line in lines)
