"""How a comparison is answered: from the curves of its runs and nothing else."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hybridal_ray.comparison.answer import (
    Answer,
    AreaDifference,
    ArmAnswer,
    Difference,
    MetricAnswer,
    Need,
    Question,
)
from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.lines import TOLERANCE, Line, line_of, mean_curve, near
from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.statistics import Estimate, area, budget_for, common_range, estimate

Span = tuple[float, float]

Budgets = Callable[[Line], list[float] | None]
"""The budgets of a line, in frames or in seconds; None where they are not known."""

Ceilings = Mapping[str | None, float]
"""Full supervision's figure by pool: of one pool's there are no shares on another."""


def answer(question: Question, curves: Sequence[Curve]) -> Answer:
    """Works the answer out.

    Mean curves are of all runs, as far as they are. Last values, areas, differences and needs are of finished runs
    alone, since a run under way has not had its chance yet.

    Args:
        question: What is asked.
        curves: One a run; runs that are not there or have no round yet do no harm.
    """
    return Answer(question, curves, {name: _of_metric(question, curves, name) for name in question.metrics})


def _of_metric(question: Question, curves: Sequence[Curve], metric: str) -> MetricAnswer:
    done = {arm: _finished_lines(curves, arm, metric) for arm in (*question.arms, FULL)}
    ceilings = _ceilings(list(done[FULL].values()))
    lines_of_arms = [line for arm in question.arms for line in done[arm].values()]
    frames = _span(lines_of_arms, _frames)
    reference = done.get(question.reference or "", {})
    arms = {}
    for arm in question.arms:
        lines, paired = list(done[arm].values()), {} if arm == question.reference else reference
        pairs = [(line, paired[line.seed]) for line in lines if line.seed in paired]
        judged = [line for line in lines if line.pool in ceilings]
        arms[arm] = ArmAnswer(
            points=mean_curve([line_of(curve, metric) for curve in curves if curve.arm == arm]),
            last=_mean([line.values[-1] for line in lines]),
            last_difference=_mean([line.values[-1] - other.values[-1] for line, other in pairs]),
            area=_mean([_area(line, _frames, frames) for line in lines]),
            area_difference=_area_difference(pairs, _frames),
            labour_difference=_area_difference(pairs, _seconds),
            differences=_differences(pairs),
            needs=[_need(judged, share, ceilings) for share in question.targets] if judged else [],
            share_at=_shares(judged, question.at_percent, ceilings),
        )
    full = _mean([line.values[-1] for line in done[FULL].values()])
    return MetricAnswer(full, frames, _ends_first(lines_of_arms), arms)


def _finished_lines(curves: Sequence[Curve], arm: str, metric: str) -> dict[int | None, Line]:
    """By seed, of the runs of an arm that are finished."""
    lines = {curve.seed: line_of(curve, metric) for curve in curves if curve.arm == arm and curve.finished}
    return {seed: line for seed, line in lines.items() if line.frames}


def _ceilings(full: Sequence[Line]) -> dict[str | None, float]:
    """The mean of full supervision on each pool; a figure of 0 is left out, for of nothing there are no shares."""
    by_pool: dict[str | None, list[float]] = {}
    for line in full:
        by_pool.setdefault(line.pool, []).append(line.values[-1])
    means = {pool: float(np.mean(values)) for pool, values in by_pool.items()}
    return {pool: mean for pool, mean in means.items() if mean > 0}


def _frames(line: Line) -> list[float]:
    return line.frames


def _seconds(line: Line) -> list[float] | None:
    return line.seconds


def _span(lines: Sequence[Line], budgets: Budgets) -> Span | None:
    """What all curves cover but those of a single round, which have no area; None where one's budgets are unknown."""
    known = [budgets(line) for line in lines if len(line.frames) > 1]
    told = [found for found in known if found is not None]
    return common_range(told) if len(told) == len(known) else None


def _ends_first(lines: Sequence[Line]) -> str | None:
    """The run that cuts the areas of all others short, with more than a difference in rounding."""
    by_end = sorted((line for line in lines if len(line.frames) > 1), key=lambda line: line.frames[-1])
    if len(by_end) < 2 or by_end[0].frames[-1] >= by_end[-1].frames[-1] * (1 - TOLERANCE):
        return None
    return by_end[0].name


def _area(line: Line, budgets: Budgets, span: Span | None) -> float | None:
    known = budgets(line)
    if known is None or span is None or len(known) < 2:
        return None
    return area(known, line.values, *span)


def _area_difference(pairs: Sequence[tuple[Line, Line]], budgets: Budgets) -> AreaDifference | None:
    """Over what these pairs cover, however early runs of other arms have ended."""
    whole = [pair for pair in pairs if min(len(line.frames) for line in pair) > 1]
    span = _span([line for pair in whole for line in pair], budgets)
    gain = _mean([_minus(_area(line, budgets, span), _area(other, budgets, span)) for line, other in whole])
    return None if gain is None or span is None else AreaDifference(gain, *span)


def _differences(pairs: Sequence[tuple[Line, Line]]) -> list[Difference]:
    """At the budgets of each seed's reference, for the rounds that all of these have and all paired runs get to."""
    rounds = set.intersection(*(set(other.rounds) for _, other in pairs)) if pairs else set()
    found = []
    for round_index in sorted(rounds):
        # A round without the figure is in no line, so that the same round can have different places in two of them.
        there = [(line, other, other.rounds.index(round_index)) for line, other in pairs]
        gain = _mean(
            [_minus(near(line.frames, line.values, other.frames[at]), other.values[at]) for line, other, at in there]
        )
        if gain is not None and gain.n == len(pairs):
            frames = float(np.mean([other.frames[at] for _, other, at in there]))
            percent = float(np.mean([other.percent[at] for _, other, at in there]))
            found.append(Difference(frames, percent, gain))
    return found


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def _need(lines: Sequence[Line], share: float, ceilings: Ceilings) -> Need:
    targets = [share * ceilings[line.pool] for line in lines]
    seen = [budget_for(line.frames, line.values, target) for line, target in zip(lines, targets, strict=True)]
    firsts = [line.values[0] >= target for line, target in zip(lines, targets, strict=True)]
    reached = sum(each is not None for each in seen)

    def needed(budgets: Sequence[list[float] | None]) -> Estimate | None:
        known = [each for each in budgets if each is not None]
        if not reached or len(known) < len(lines):
            return None
        found = [budget_for(each, line.values, to) for each, line, to in zip(known, lines, targets, strict=True)]
        return estimate([each[-1] if at is None else at for at, each in zip(found, known, strict=True)])

    return Need(
        share,
        float(np.mean(targets)),
        reached,
        sum(firsts),
        len(lines),
        needed([line.frames for line in lines]),
        needed([line.percent for line in lines]),
        needed([line.seconds for line in lines]),
    )


def _shares(lines: Sequence[Line], budgets: Sequence[float], ceilings: Ceilings) -> dict[float, Estimate]:
    shares = {}
    for at in budgets:
        values = [(near(line.percent, line.values, at), ceilings[line.pool]) for line in lines]
        share = _mean([None if value is None else value / ceiling for value, ceiling in values])
        if share is not None:
            shares[at] = share
    return shares


def _mean(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return estimate(known) if known else None
