"""What a comparison is asked, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hybridal_ray.comparison.results import Curve
from hybridal_ray.comparison.settings import ArmSettings
from hybridal_ray.comparison.statistics import Estimate


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
        settings: What the arms differ in.
    """

    name: str
    arms: tuple[str, ...]
    metrics: tuple[str, ...]
    reference: str | None
    targets: tuple[float, ...] = ()
    at_percent: tuple[float, ...] = ()
    settings: ArmSettings = field(default_factory=ArmSettings)


@dataclass(frozen=True)
class MeanPoint:
    """A budget of an arm, over the seeds that come so far.

    Attributes:
        round: Of the runs; None where their rounds have different budgets, and their values are read between rounds.
        frames: Labelled frames, mean over the seeds.
        percent: The same in % of the frames.
        seconds: Modelled seconds of labour, mean over the seeds; None where they are not known.
        value: Of the metric.
        missing: Number of the arm's runs that have no figure here.
    """

    round: int | None
    frames: float
    percent: float
    seconds: float | None
    value: Estimate
    missing: int


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
class AreaDifference:
    """How far the area of an arm is above the reference's.

    Attributes:
        gain: Paired by seed.
        low: First budget of the areas, in labelled frames or in modelled seconds.
        high: The last one.
    """

    gain: Estimate
    low: float
    high: float


@dataclass(frozen=True)
class Need:
    """The labels that an arm needs for a share of full supervision's figure.

    Attributes:
        share: Of full supervision's figure.
        figure: The value to be reached, mean over the seeds where they are on several pools.
        reached: Number of seeds whose curve reaches it.
        at_once: Number of those that are there with their first labels, and might have been with fewer.
        n: Number of seeds.
        frames: Labelled frames over all seeds, those that never reach it with their last budget; None where none does.
        percent: The same in % of the frames.
        seconds: The same in modelled seconds of labour; None where a seed does not know them.
    """

    share: float
    figure: float
    reached: int
    at_once: int
    n: int
    frames: Estimate | None
    percent: Estimate | None
    seconds: Estimate | None

    @property
    def sign(self) -> str:
        """Before the means: ``≥`` where some seeds need more, ``≤`` where some may need less, ``≈`` where both."""
        more, less = self.reached < self.n, self.at_once > 0
        return "≈ " if more and less else "≥ " if more else "≤ " if less else ""


@dataclass(frozen=True)
class ArmAnswer:
    """What is known of one arm under one metric.

    Attributes:
        points: Its mean curve.
        last: What each finished run has come to at its own end, over the seeds; None where none is finished.
        last_difference: Of that from the reference's, paired by seed, whatever the budgets of both are there.
        area: Under the curve, over the budgets that all finished curves cover; None where there is no such range.
        area_difference: From the area under the reference's curve, paired by seed, over the budgets that all of these
            pairs cover.
        labour_difference: Of the areas under the curves against modelled labour, likewise; None where it is not known.
        differences: From the reference, at its budgets.
        needs: Labels for each target.
        share_at: The share of full supervision's figure that is reached at a budget in % of the frames.
    """

    points: list[MeanPoint]
    last: Estimate | None
    last_difference: Estimate | None
    area: Estimate | None
    area_difference: AreaDifference | None
    labour_difference: AreaDifference | None
    differences: list[Difference]
    needs: list[Need]
    share_at: dict[float, Estimate]


@dataclass(frozen=True)
class MetricAnswer:
    """What is known under one metric.

    Attributes:
        full: Full supervision's figure; None where it is not known.
        frames: First and last budget of the areas, in labelled frames; None where there are none.
        ends_first: Name of the run that these budgets end with, where it ends before the others; else None.
        arms: By name.
    """

    full: Estimate | None
    frames: tuple[float, float] | None
    ends_first: str | None
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

    @property
    def split(self) -> str | None:
        """The split that all figures are of; None where there are none yet."""
        return next((curve.split for curve in self.curves if curve.split is not None), None)

    @property
    def warnings(self) -> list[str]:
        """What stands side by side and yet cannot be told apart from its arm: pools of a seed's runs, and code."""
        found = []
        for seed in dict.fromkeys(curve.seed for curve in self.curves):
            by_pool: dict[str, list[str]] = {}
            for curve in self.curves:
                if curve.seed == seed and curve.pool is not None:
                    by_pool.setdefault(curve.pool, []).append(curve.name)
            if len(by_pool) > 1:
                groups = "; ".join(f"{', '.join(names)} on {pool}" for pool, names in by_pool.items())
                found.append(f"These runs are on different pools, and differ by that beside all else: {groups}.")
        by_code: dict[str, list[str]] = {}
        for curve in self.curves:
            if curve.code is not None:
                by_code.setdefault(curve.code, []).append(curve.name)
        if len(by_code) > 1:
            groups = "; ".join(f"{_some(names)} by {code}" for code, names in by_code.items())
            found.append(f"These runs are by different revisions of the code, which may count too: {groups}.")
        return found

    def as_json(self) -> dict[str, Any]:
        """The answer as plain values."""
        return {
            "question": asdict(self.question),
            "warnings": self.warnings,
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
                    numbers[f"area_difference/{metric}/{arm}"] = of_arm.area_difference.gain.mean
                if of_arm.labour_difference is not None:
                    numbers[f"labour_area_difference/{metric}/{arm}"] = of_arm.labour_difference.gain.mean
                for percent, share in of_arm.share_at.items():
                    numbers[f"share_of_full_at_{percent:g}_percent/{metric}/{arm}"] = share.mean
            if found.full is not None:
                numbers[f"full/{metric}"] = found.full.mean
        return numbers


def _some(names: Sequence[str], most: int = 5) -> str:
    """Names, the first of many."""
    return ", ".join(names[:most]) + ("" if len(names) <= most else f" and {len(names) - most} more")
