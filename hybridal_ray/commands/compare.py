"""``hybridal compare``: runs the comparison of a file, or sets existing runs side by side."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hybridal_ray.errors import UserError

if TYPE_CHECKING:
    from hybridal_ray.comparison.report import Report

METRICS = ("frame_map@0.5", "video_map@0.5")


def compare(
    what: Annotated[
        list[str],
        typer.Argument(metavar="FILE [key=value …] | RUN RUN …", help="A comparison's YAML file, or run directories."),
    ],
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Report on a comparison as far as it is; run nothing.")
    ] = False,
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", help="Of existing runs: a name in evaluate/metrics.json.")
    ] = None,
    out: Annotated[str | None, typer.Option(help="Of existing runs: directory for tables, figures and page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Compare strategies, losses and budgets over seeds; again to continue. Or show runs side by side."""
    if Path(what[0]).suffix in (".yaml", ".yml"):
        if metrics or out:
            raise UserError("--metric and --out are for existing runs; a file has the fields metrics and out")
        report = _of_file(what[0], what[1:], report_only, as_json)
        _tell(report, as_json)
        if not (report_only or all(curve.finished for curve in report.answer.curves)):
            raise typer.Exit(1)
        return
    if report_only:
        raise UserError(f"--report-only: expected the file of a comparison (.yaml), found {what[0]!r}")
    from hybridal_ray.comparison.report import report_on_runs, write
    from hybridal_ray.report import run_report

    report = report_on_runs(what, metrics or METRICS, lambda root: run_report(root).state)
    if out is not None:
        write(report, out)
    _tell(report, as_json)


def _of_file(file: str, overrides: list[str], report_only: bool, as_json: bool) -> "Report":
    from hybridal_ray.comparison.comparing import compare as run_comparison
    from hybridal_ray.comparison.comparing import compare_so_far
    from hybridal_ray.comparison.comparison_file import load_comparison

    comparison = load_comparison(file, overrides)
    if report_only:
        return compare_so_far(comparison)
    log = sys.stderr if as_json else sys.stdout
    report = run_comparison(comparison, say=lambda line: print(line, file=log, flush=True))
    print(f"report: {comparison.directory}/comparison.html", file=log, flush=True)
    return report


def _tell(report: "Report", as_json: bool) -> None:
    print(json.dumps(report.answer.as_json(), indent=1) if as_json else report.markdown)
