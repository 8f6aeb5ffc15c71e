"""How a comparison is answered: from the curves of its runs and nothing else."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hybridal_ray.comparison.answer import Answer, ArmAnswer, Difference, MeanPoint, MetricAnswer, Need, Question
from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.statistics import Estimate, area, budget_for, common_range, estimate, value_at

Span = tuple[float, float]

TOLERANCE = 0.02  # of a budget, by which a curve may miss it and still be compared at it


def answer(question: Question, curves: Sequence[Curve]) -> Answer:
    """Works the answer out.

    Mean curves are of all runs, as far as they are. Last values, areas, differences and needs are of finished runs
    alone, since a run under way has not had its chance yet.

    Args:
        question: What is asked.
        curves: One a run; runs that are not there or have no round yet do no harm.
    """
    return Answer(question, curves, {name: _of_metric(question, curves, name) for name in question.metrics})


@dataclass(frozen=True)
class _Line:
    """A curve under one metric, without rounds that have no such figure."""

    seed: int
    rounds: list[int]
    frames: list[float]
    percent: list[float]
    seconds: list[float] | None
    values: list[float]


Budgets = Callable[[_Line], list[float] | None]
"""The budgets of a line, in frames or in seconds; None where they are not known."""


def _line(curve: Curve, metric: str) -> _Line:
    values = curve.values.get(metric, ())
    known = [index for index, value in enumerate(values) if value is not None]
    seconds = [second for index in known if (second := curve.seconds[index]) is not None]
    return _Line(
        curve.seed,
        known,
        [float(curve.frames[index]) for index in known],
        [curve.percent[index] for index in known],
        seconds if len(seconds) == len(known) else None,
        [value for value in values if value is not None],
    )


def _of_metric(question: Question, curves: Sequence[Curve], metric: str) -> MetricAnswer:
    done = {arm: _finished_lines(curves, arm, metric) for arm in (*question.arms, FULL)}
    full = _mean([line.values[-1] for line in done[FULL].values()])
    ceiling = full.mean if full is not None and full.mean > 0 else None  # of nothing there are no shares
    lines_of_arms = [line for arm in question.arms for line in done[arm].values()]
    frames, seconds = _span(lines_of_arms, _frames), _span(lines_of_arms, _seconds)
    reference = done.get(question.reference or "", {})
    arms = {}
    for arm in question.arms:
        lines, paired = done[arm], {} if arm == question.reference else reference
        arms[arm] = ArmAnswer(
            points=_mean_curve([_line(curve, metric) for curve in curves if curve.arm == arm]),
            last=_mean([line.values[-1] for line in lines.values()]),
            area=_mean([_area(line, _frames, frames) for line in lines.values()]),
            area_difference=_area_difference(lines, paired, _frames, frames),
            labour_difference=_area_difference(lines, paired, _seconds, seconds),
            differences=_differences(lines, paired),
            needs=[] if ceiling is None else [_need(lines, share, ceiling) for share in question.targets],
            share_at={} if ceiling is None else _shares(lines, question.at_percent, ceiling),
        )
    return MetricAnswer(full, frames, seconds, arms)


def _finished_lines(curves: Sequence[Curve], arm: str, metric: str) -> dict[int, _Line]:
    """By seed, of the runs of an arm that are finished."""
    lines = {curve.seed: _line(curve, metric) for curve in curves if curve.arm == arm and curve.finished}
    return {seed: line for seed, line in lines.items() if line.frames}


def _mean_curve(lines: Sequence[_Line]) -> list[MeanPoint]:
    points = []
    for round_index in sorted({index for line in lines for index in line.rounds}):
        there = [(line, line.rounds.index(round_index)) for line in lines if round_index in line.rounds]
        seconds = [line.seconds[at] for line, at in there if line.seconds is not None]
        points.append(
            MeanPoint(
                round_index,
                float(np.mean([line.frames[at] for line, at in there])),
                float(np.mean([line.percent[at] for line, at in there])),
                float(np.mean(seconds)) if len(seconds) == len(there) else None,
                estimate([line.values[at] for line, at in there]),
            )
        )
    return points


def _frames(line: _Line) -> list[float]:
    return line.frames


def _seconds(line: _Line) -> list[float] | None:
    return line.seconds


def _span(lines: Sequence[_Line], budgets: Budgets) -> Span | None:
    """What all curves cover; None where one of them does not know its budgets."""
    known = [found for line in lines if (found := budgets(line)) is not None]
    return common_range(known) if len(known) == len(lines) else None


def _area(line: _Line, budgets: Budgets, span: Span | None) -> float | None:
    known = budgets(line)
    return None if known is None or span is None else area(known, line.values, *span)


def _area_difference(
    lines: Mapping[int, _Line], reference: Mapping[int, _Line], budgets: Budgets, span: Span | None
) -> Estimate | None:
    paired = [(lines[seed], reference[seed]) for seed in lines if seed in reference]
    return _mean([_minus(_area(line, budgets, span), _area(other, budgets, span)) for line, other in paired])


def _differences(lines: Mapping[int, _Line], reference: Mapping[int, _Line]) -> list[Difference]:
    """At the budgets of each seed's reference, for the rounds that all of these have and all paired runs get to."""
    pairs = [(lines[seed], reference[seed]) for seed in lines if seed in reference]
    rounds = set.intersection(*(set(other.rounds) for _, other in pairs)) if pairs else set()
    found = []
    for round_index in sorted(rounds):
        # A round without the figure is in no line, so that the same round can have different places in two of them.
        there = [(line, other, other.rounds.index(round_index)) for line, other in pairs]
        gain = _mean(
            [_minus(_near(line.frames, line.values, other.frames[at]), other.values[at]) for line, other, at in there]
        )
        if gain is not None and gain.n == len(pairs):
            frames = float(np.mean([other.frames[at] for _, other, at in there]))
            percent = float(np.mean([other.percent[at] for _, other, at in there]))
            found.append(Difference(frames, percent, gain))
    return found


def _near(budgets: Sequence[float], values: Sequence[float], at: float) -> float | None:
    """The value at a budget; a curve that begins a little behind it or ends a little before it counts with that end."""
    if not budgets:
        return None
    nearest = min(max(at, budgets[0]), budgets[-1])
    return value_at(budgets, values, nearest if abs(nearest - at) <= at * TOLERANCE else at)


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _need(lines: Mapping[int, _Line], share: float, ceiling: float) -> Need:
    figure = share * ceiling
    frames = [budget_for(line.frames, line.values, figure) for line in lines.values()]
    percent = [budget_for(line.percent, line.values, figure) for line in lines.values()]
    seconds = [
        None if line.seconds is None else budget_for(line.seconds, line.values, figure) for line in lines.values()
    ]
    reached = sum(each is not None for each in frames)
    return Need(share, figure, reached, len(frames), _mean(frames), _mean(percent), _mean(seconds))


def _shares(lines: Mapping[int, _Line], budgets: Sequence[float], ceiling: float) -> dict[float, Estimate]:
    shares = {}
    for at in budgets:
        values = [_near(line.percent, line.values, at) for line in lines.values()]
        share = _mean([None if value is None else value / ceiling for value in values])
        if share is not None:
            shares[at] = share
    return shares


def _mean(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return estimate(known) if known else None
