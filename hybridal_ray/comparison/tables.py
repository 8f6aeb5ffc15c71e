"""The tables of an answer, for Markdown and for the page."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hybridal_ray.comparison.answer import Answer, AreaDifference, MetricAnswer, Need
from hybridal_ray.comparison.comparison_file import FULL
from hybridal_ray.comparison.statistics import Estimate

NOTHING = "–"


@dataclass(frozen=True)
class Table:
    """A table as text.

    Attributes:
        title: Above it.
        note: How it is to be read.
        headings: One a column.
        rows: Cells, as many a row as there are headings.
        texts: The first so many columns are text, the others numbers.
    """

    title: str
    note: str
    headings: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    texts: int = 1

    def markdown(self) -> str:
        """The table with its title and note, as Markdown."""
        lines = ["| " + " | ".join(map(_markdown_cell, cells)) + " |" for cells in (self.headings, *self.rows)]
        lines.insert(1, "|" + " --- |" * self.texts + " ---: |" * (len(self.headings) - self.texts))
        return "\n".join([f"### {self.title}", "", self.note, "", *lines, ""])

    def html(self) -> str:
        """The table with its title and note, as HTML."""
        head = "".join(self._html_cell("th", at, cell) for at, cell in enumerate(self.headings))
        rows = (
            "<tr>" + "".join(self._html_cell("td", *cell) for cell in enumerate(row)) + "</tr>" for row in self.rows
        )
        return (
            f"<h2>{html.escape(self.title)}</h2>\n<p>{html.escape(self.note)}</p>\n"
            f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table>\n"
        )

    def _html_cell(self, tag: str, column: int, text: str) -> str:
        kind = ' class="text"' if column < self.texts else ""
        return f"<{tag}{kind}>{html.escape(text)}</{tag}>"


def tables_of(answer: Answer) -> list[Table]:
    """All tables of an answer: of each metric the summary, labour, needs, curves and differences; arms; runs."""
    found: list[Table] = []
    for metric, of_metric in answer.metrics.items():
        found.append(_summary(answer, metric, of_metric))
        if any(arm.labour_difference for arm in of_metric.arms.values()):
            found.append(_labour(answer, metric, of_metric))
        if of_metric.full is not None and answer.question.targets:
            found.append(_needs(metric, of_metric))
        found.append(_curves(metric, of_metric))
        if any(arm.differences for arm in of_metric.arms.values()):
            found.append(_differences(answer, metric, of_metric))
    if any(answer.question.settings.of_arm.values()):
        found.append(_settings(answer))
    return [*found, _runs(answer)]


def _summary(answer: Answer, metric: str, found: MetricAnswer) -> Table:
    reference, budgets = answer.question.reference, answer.question.at_percent if found.full is not None else ()
    headings = ["arm", "last value", *([f"last value − {reference}", "95 % interval"] if reference else []), "area"]
    headings += [f"area − {reference}", "95 % interval", "pairs", "over frames"] if reference else []
    headings += [f"of full supervision at {percent:g} %" for percent in budgets]
    rows = []
    for name, arm in found.arms.items():
        of = 0 if arm.last is None else arm.last.n
        row = [name, _spread(arm.last)]
        row += [_signed(arm.last_difference), _interval(arm.last_difference)] if reference else []
        row += [_spread(arm.area) + _fewer(arm.area, of)]
        row += _gain_cells(arm.area_difference, 1, 0) if reference else []
        shares = [arm.share_at.get(percent) for percent in budgets]
        rows.append((*row, *(_percent(share) + _fewer(share, of) for share in shares), _seeds(arm.last)))
    if found.full is not None:
        gap = [NOTHING] * (len(headings) - 2)
        rows.append((FULL, _spread(found.full), *gap, _seeds(found.full)))
    note = (
        "Last value: of each finished run at its own end, whatever it has bought by then. "
        f"Area: mean value{_between(found)} of the finished runs, by trapezoids. Mean ± standard deviation over seeds, "
        "(k of n) where only k of them have the figure; paired differences, those of the area over what their pairs "
        "cover, with the 95 % interval of Student's t over seeds."
    )
    return Table(f"{metric}: summary", note, (*headings, "seeds"), rows)


def _between(found: MetricAnswer) -> str:
    """The budgets of the areas, in words."""
    if found.frames is None:
        return ""
    cut = "" if found.ends_first is None else f", where {found.ends_first} ends before others,"
    return f" from {found.frames[0]:.0f} to {found.frames[1]:.0f} labelled frames{cut}"


def _labour(answer: Answer, metric: str, found: MetricAnswer) -> Table:
    differences = [(name, arm.labour_difference) for name, arm in found.arms.items() if arm.labour_difference]
    rows = [(name, *_gain_cells(gain, 3600, 2)) for name, gain in differences]
    headings = ("arm", f"area − {answer.question.reference}", "95 % interval", "pairs", "over modelled hours")
    note = "As above, the areas against modelled labour instead of frames."
    return Table(f"{metric}: at equal labour", note, headings, rows)


def _gain_cells(found: AreaDifference | None, unit: float, decimals: int) -> tuple[str, ...]:
    """Of a difference in area: itself, its interval, pairs, and between what budgets, told in `unit`."""
    if found is None:
        return (NOTHING,) * 4
    between = f"{found.low / unit:.{decimals}f} … {found.high / unit:.{decimals}f}"
    return _signed(found.gain), _interval(found.gain), _seeds(found.gain), between


def _needs(metric: str, found: MetricAnswer) -> Table:
    rows = []
    for name, arm in found.arms.items():
        for need in arm.needs:
            rows.append(
                (
                    name,
                    f"{100 * need.share:g} %",
                    f"{need.figure:.3f}",
                    _needed(need, need.frames, 0),
                    _needed(need, need.percent, 2),
                    NOTHING if need.seconds is None else f"{need.sign}{need.seconds.mean / 3600:.2f}",
                    f"{need.reached} of {need.n}",
                )
            )
    headings = ("arm", "of full", "figure", "frames", "% of the frames", "modelled hours", "seeds that reach it")
    note = (
        "Labels until the curve of a seed first reaches the share of full supervision's figure on its pool, between "
        "two rounds by straight lines; mean ± standard deviation over the seeds. ≥ where some seeds never do, which "
        "count with all they have; ≤ where some do with their first labels; ≈ where both."
    )
    return Table(f"{metric}: labels that a share of full supervision takes", note, headings, rows)


def _curves(metric: str, found: MetricAnswer) -> Table:
    rows = [
        (
            name,
            NOTHING if point.round is None else str(point.round),
            f"{point.frames:.0f}",
            f"{point.percent:.2f}",
            NOTHING if point.seconds is None else f"{point.seconds / 3600:.2f}",
            _spread(point.value),
            f"{point.value.n} of {point.value.n + point.missing}" if point.missing else str(point.value.n),
        )
        for name, arm in found.arms.items()
        for point in arm.points
    ]
    headings = ("arm", "round", "frames", "% of the frames", "modelled hours", metric, "seeds")
    note = (
        "Mean ± standard deviation over seeds, of all rounds so far. Where runs of an arm have different budgets in a "
        "round, between their rounds by straight lines."
    )
    return Table(f"{metric}: curves", note, headings, rows)


def _differences(answer: Answer, metric: str, found: MetricAnswer) -> Table:
    rows = [
        (
            name,
            f"{point.frames:.0f}",
            f"{point.percent:.2f}",
            _signed(point.gain),
            _interval(point.gain),
            str(point.gain.n),
        )
        for name, arm in found.arms.items()
        for point in arm.differences
    ]
    headings = ("arm", "frames", "% of the frames", f"{metric} − {answer.question.reference}", "95 % interval", "seeds")
    note = "Paired by seed, at the budgets of the reference; finished runs alone."
    return Table(f"{metric}: differences from {answer.question.reference}", note, headings, rows)


def _settings(answer: Answer) -> Table:
    settings = answer.question.settings
    rows = [(arm, _overrides(own) or NOTHING) for arm, own in settings.of_arm.items()]
    rest = f" An arm that does not name them has {_overrides(settings.common)}." if settings.common else ""
    return Table("Arms", f"The fields in which arms differ.{rest}", ("arm", "settings"), rows, texts=2)


def _overrides(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in fields.items())


def _runs(answer: Answer) -> Table:
    rows = [
        (curve.name, curve.state, str(len(curve.frames)), str(curve.frames[-1] if curve.frames else 0))
        for curve in answer.curves
    ]
    note = f"{sum(curve.finished for curve in answer.curves)} of {len(answer.curves)} are finished."
    return Table("Runs", note, ("run", "state", "rounds evaluated", "labelled frames"), rows, texts=2)


def _markdown_cell(text: str) -> str:
    """A cell on one line, in which no stroke begins another: states tell of what failed in its own words."""
    return " ".join(text.split()).replace("|", "\\|")


def _spread(found: Estimate | None) -> str:
    if found is None:
        return NOTHING
    return f"{found.mean:.3f}" + ("" if found.deviation is None else f" ± {found.deviation:.3f}")


def _signed(found: Estimate | None) -> str:
    return NOTHING if found is None else f"{found.mean:+.3f}" + (" *" if found.excludes_zero else "")


def _interval(found: Estimate | None) -> str:
    return NOTHING if found is None or found.low is None else f"{found.low:+.3f} … {found.high:+.3f}"


def _percent(found: Estimate | None) -> str:
    if found is None:
        return NOTHING
    return f"{100 * found.mean:.1f} %" + ("" if found.deviation is None else f" ± {100 * found.deviation:.1f}")


def _fewer(found: Estimate | None, of: int) -> str:
    """Says so where an estimate is of fewer seeds than its arm has."""
    return "" if found is None or found.n >= of else f" ({found.n} of {of})"


def _needed(need: Need, found: Estimate | None, decimals: int) -> str:
    if found is None:
        return NOTHING if need.reached else "not reached"
    spread = "" if found.deviation is None or need.sign else f" ± {found.deviation:.{decimals}f}"
    return f"{need.sign}{found.mean:,.{decimals}f}{spread}"


def _seeds(found: Estimate | None) -> str:
    return "0" if found is None else str(found.n)
