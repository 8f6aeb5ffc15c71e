"""What a comparison answers, worked out from the curves of its runs and nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.statistics import Estimate, area, budget_for, common_range, estimate, value_at

TOLERANCE = 0.02  # by which a run may fall short of a budget and still be compared at it


@dataclass(frozen=True)
class Question:
    """What is asked of the curves.

    Attributes:
        name: Of the comparison.
        arms: In the order in which they are told of.
        metrics: Names of the figures.
        reference: The arm that the others are compared with, None for none.
        targets: Shares of full supervision's figure, in (0, 1].
        at_percent: Budgets to report on, in % of the frames.
    """

    name: str
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    reference: str | None
    targets: tuple[float, ...] = ()
    at_percent: tuple[float, ...] = ()


@dataclass(frozen=True)
class MeanPoint:
    """A round of an arm, over the seeds that have evaluated it.

    Attributes:
        round: Of the runs.
        frames: Labelled frames, mean over the seeds.
        percent: The same in % of the frames.
        seconds: Modelled seconds of labour, mean over the seeds; None where they are not known.
        value: Of the metric.
    """

    round: int
    frames: float
    percent: float
    seconds: float | None
    value: Estimate


@dataclass(frozen=True)
class Difference:
    """How far an arm is above the reference at one budget.

    Attributes:
        frames: The budget in labelled frames, mean over the seeds.
        percent: The same in % of the frames.
        gain: Of the value, paired by seed.
    """

    frames: float
    percent: float
    gain: Estimate


@dataclass(frozen=True)
class Need:
    """The labels that an arm needs for a share of full supervision's figure.

    Attributes:
        share: Of full supervision's figure.
        figure: The value to be reached.
        reached: Number of seeds whose curve reaches it.
        n: Number of seeds.
        frames: Labelled frames, over the seeds that reach it; None where none does.
        percent: The same in % of the frames.
        seconds: The same in modelled seconds of labour; None where they are not known.
    """

    share: float
    figure: float
    reached: int
    n: int
    frames: Estimate | None
    percent: Estimate | None
    seconds: Estimate | None


@dataclass(frozen=True)
class ArmAnswer:
    """What is known of one arm under one metric.

    Attributes:
        points: Its mean curve.
        area: Under the curve, over the budgets that all finished curves cover; None where there is no such range.
        area_difference: Of the area from the reference's, paired by seed.
        differences: From the reference, at its budgets.
        needs: Labels for each target.
        share_at: The share of full supervision's figure that is reached at a budget in % of the frames.
    """

    points: list[MeanPoint]
    area: Estimate | None
    area_difference: Estimate | None
    differences: list[Difference]
    needs: list[Need]
    share_at: dict[float, Estimate]


@dataclass(frozen=True)
class MetricAnswer:
    """What is known under one metric.

    Attributes:
        full: Full supervision's figure; None where it is not known.
        frames: First and last budget of the areas, in labelled frames; None where there are none.
        arms: By name.
    """

    full: Estimate | None
    frames: tuple[float, float] | None
    arms: dict[str, ArmAnswer]


@dataclass(frozen=True)
class Answer:
    """The answer of a comparison.

    Attributes:
        question: What was asked.
        curves: What it is derived from.
        metrics: By name.
    """

    question: Question
    curves: Sequence[Curve]
    metrics: Mapping[str, MetricAnswer]

    def as_json(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {
            "question": asdict(self.question),
            "metrics": {name: asdict(found) for name, found in self.metrics.items()},
            "curves": [curve.as_json() for curve in self.curves],
        }

    def figures(self) -> dict[str, float]:
        """The numbers that a comparison is known by, by name: areas, their differences, full supervision."""
        numbers: dict[str, float] = {}
        for metric, found in self.metrics.items():
            for arm, of_arm in found.arms.items():
                if of_arm.area is not None:
                    numbers[f"area/{metric}/{arm}"] = of_arm.area.mean
                if of_arm.area_difference is not None:
                    numbers[f"area_difference/{metric}/{arm}"] = of_arm.area_difference.mean
                for percent, share in of_arm.share_at.items():
                    numbers[f"share_of_full_at_{percent:g}_percent/{metric}/{arm}"] = share.mean
            if found.full is not None:
                numbers[f"full/{metric}"] = found.full.mean
        return numbers


def answer(question: Question, curves: Sequence[Curve]) -> Answer:
    """Works the answer out.

    Mean curves are of all runs, as far as they are. Areas, differences and needs are of finished runs alone, since a
    run under way has not had its chance yet.

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
    budgets = common_range([line.frames for arm in question.arms for line in done[arm].values()])
    reference = done.get(question.reference or "", {})
    arms = {}
    for arm in question.arms:
        lines, paired = done[arm], {} if arm == question.reference else reference
        arms[arm] = ArmAnswer(
            points=_mean_curve([_line(curve, metric) for curve in curves if curve.arm == arm]),
            area=_mean([_area(line, budgets) for line in lines.values()]),
            area_difference=_mean(
                [_minus(_area(lines[seed], budgets), _area(paired[seed], budgets)) for seed in lines if seed in paired]
            ),
            differences=_differences(lines, paired),
            needs=[]
            if full is None or full.mean <= 0
            else [_need(lines, share, full.mean) for share in question.targets],
            share_at={} if full is None else _shares(lines, question.at_percent, full.mean),
        )
    return MetricAnswer(full, budgets, arms)


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


def _area(line: _Line, budgets: tuple[float, float] | None) -> float | None:
    return None if budgets is None else area(line.frames, line.values, *budgets)


def _differences(lines: Mapping[int, _Line], reference: Mapping[int, _Line]) -> list[Difference]:
    """At the budgets of each seed's reference, round by round, as far as all paired runs get."""
    seeds = [seed for seed in lines if seed in reference]
    rounds = min((len(reference[seed].frames) for seed in seeds), default=0)
    found = []
    for index in range(rounds):
        gains = [
            _minus(_near(lines[seed], reference[seed].frames[index]), reference[seed].values[index]) for seed in seeds
        ]
        gain = _mean(gains)
        if gain is not None and gain.n == len(seeds):
            frames = float(np.mean([reference[seed].frames[index] for seed in seeds]))
            percent = float(np.mean([reference[seed].percent[index] for seed in seeds]))
            found.append(Difference(frames, percent, gain))
    return found


def _near(line: _Line, frames: float) -> float | None:
    """The value at a budget; a curve that ends a little before it counts with its end."""
    ends = line.frames[-1]
    return value_at(line.frames, line.values, ends if ends < frames <= ends * (1 + TOLERANCE) else frames)


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
        values = [value_at(line.percent, line.values, at) for line in lines.values()]
        share = _mean([None if value is None else value / ceiling for value in values])
        if share is not None:
            shares[at] = share
    return shares


def _mean(values: Sequence[float | None]) -> Estimate | None:
    known = [value for value in values if value is not None]
    return estimate(known) if known else None
