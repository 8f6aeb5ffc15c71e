"""The report of a comparison: made from the run directories alone, at any time, as far as the runs have come."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hybridal_ray.comparison.answer import Answer, Question
from hybridal_ray.comparison.answering import answer
from hybridal_ray.comparison.comparison_file import Comparison
from hybridal_ray.comparison.figures import figures_of
from hybridal_ray.comparison.page import render_page
from hybridal_ray.comparison.results import Curve, progress_of, read_curve
from hybridal_ray.comparison.settings import differing_settings
from hybridal_ray.comparison.tables import tables_of
from hybridal_ray.comparison.work import PlannedRun, is_finished
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.metric_names import check_metrics
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.run_store import RunStore

NOT_BEGUN = "not begun"
FINISHED = "finished"  # how the state of a run begins that has come to its end


@dataclass(frozen=True)
class Report:
    """An answer in all its forms.

    Attributes:
        answer: What is reported.
        markdown: Its tables.
        files: All files of the report, by name.
    """

    answer: Answer
    markdown: str
    files: Mapping[str, bytes]


def report_on(comparison: Comparison, runs: Sequence[PlannedRun], failures: Mapping[str, str]) -> Report:
    """Reads the runs of a comparison and writes its report into its directory.

    Args:
        comparison: Which.
        runs: All of its runs, begun or not.
        failures: Why runs failed, by name of the run.

    Raises:
        UserError: The report cannot be written.
    """
    pools: dict[str, tuple[Pool, str]] = {}
    curves = [_curve(comparison, run, failures, pools) for run in runs]
    question = Question(
        comparison.name,
        tuple(comparison.arms),
        comparison.metrics,
        comparison.reference,
        comparison.targets,
        comparison.at_percent,
        differing_settings({arm: comparison.config_of(arm, 0).model_dump(mode="json") for arm in comparison.arms}),
    )
    report = render(answer(question, curves))
    write(report, comparison.directory)
    return report


def report_on_runs(run_roots: Sequence[str], metrics: Sequence[str], state_of: Callable[[str], str]) -> Report:
    """Sets existing runs side by side, each an arm of its own, the first the one that the others are compared with.

    Args:
        run_roots: Run directories.
        metrics: Names in ``evaluate/metrics.json``.
        state_of: Tells where the run in a directory is, in words.

    Raises:
        UserError: A run is named twice or is not there, its pool has moved away, no figure has such a name, or the
            runs are evaluated on different splits.
    """
    check_metrics(metrics, "--metric")
    _refuse_twice(run_roots)
    names, states = _short_names(run_roots), [state_of(root) for root in run_roots]
    curves = [
        read_curve(root, arm=name, seed=None, metrics=metrics, state=state, finished=state.startswith(FINISHED))
        for name, root, state in zip(names, run_roots, states, strict=True)
    ]
    _refuse_different_splits(run_roots, curves)
    reference = names[0] if len(names) > 1 else None
    settings = differing_settings({name: RunStore(root).config() for name, root in zip(names, run_roots, strict=True)})
    question = Question("Runs side by side", tuple(names), tuple(metrics), reference, settings=settings)
    return render(answer(question, curves))


def render(found: Answer) -> Report:
    """Makes the tables, the figures and the page of an answer."""
    tables, figures = tables_of(found), figures_of(found)
    parts = [*(f"**{warning}**\n" for warning in found.warnings), *(table.markdown() for table in tables)]
    markdown = f"# {found.question.name}\n\n" + "\n".join(parts)
    files = {
        "comparison.md": markdown.encode(),
        "comparison.json": (json.dumps(found.as_json(), indent=1) + "\n").encode(),
        "comparison.html": render_page(found, tables, figures).encode(),
        **{f"figures/{name}": png for name, png in figures.items()},
    }
    return Report(found, markdown, files)


def write(report: Report, directory: str) -> None:
    """Writes the files of a report below a directory.

    Raises:
        UserError: They cannot be written.
    """
    for name, content in report.files.items():
        storage.write_bytes(storage.join(directory, *name.split("/")), content)


def _curve(
    comparison: Comparison, run: PlannedRun, failures: Mapping[str, str], pools: dict[str, tuple[Pool, str]]
) -> Curve:
    """Reads the curve of a run; `pools` are those that are read already, with their identities, by location."""
    finished = is_finished(comparison.directory, run)
    state = FINISHED if finished else f"failed: {failures[run.name]}" if run.name in failures else None
    try:
        if not RunStore(run.root).status() or not storage.exists(storage.join(run.root, "config.yaml")):
            return Curve(run.arm, run.seed, state or NOT_BEGUN, finished=False)
        location = run.config.locate(run.config.pool.path)
        if location not in pools:
            pool = load_pool(location)  # not by the run's own word: it may have been moved, pool and all
            pools[location] = pool, pool.identity()
        pool, identity = pools[location]
        curve = read_curve(
            run.root,
            arm=run.arm,
            seed=run.seed,
            metrics=comparison.metrics,
            state=state or progress_of(run.root, run.config.rounds),
            finished=finished,
            pool=pool,
        )
        if curve.pool == identity:
            return curve
        return dataclasses.replace(curve, state=f"{curve.state}, on another pool than {location} is now")
    except UserError as error:  # of one run; the others have something to say
        return Curve(run.arm, run.seed, f"unreadable: {error}", finished=False)


def _refuse_twice(run_roots: Sequence[str]) -> None:
    """A run beside itself would look like two seeds that agree."""
    places: dict[str, str] = {}
    for root in run_roots:
        place = root.rstrip("/") if storage.is_uri(root) else os.path.realpath(root)
        if place in places:
            same = "" if places[place] == root else f" (as {places[place]})"
            raise UserError(f"{root}: the run is named twice{same}, expected different runs")
        places[place] = root


def _refuse_different_splits(run_roots: Sequence[str], curves: Sequence[Curve]) -> None:
    for root, curve in zip(run_roots, curves, strict=True):
        if curve.split != curves[0].split:
            raise UserError(
                f"{root}: evaluation.split is {curve.split!r}, expected {curves[0].split!r} as in {run_roots[0]}: "
                "figures of different splits cannot be compared"
            )


def _short_names(run_roots: Sequence[str]) -> list[str]:
    """The last part of each location, or all of it where that would not tell two runs apart."""
    last = [root.rstrip("/").rsplit("/", 1)[-1] for root in run_roots]
    return last if len(set(last)) == len(last) else list(run_roots)
