"""``hybridal``: the doors of the package for a person at a terminal."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from hybridal_ray import __version__
from hybridal_ray.commands.check import check
from hybridal_ray.commands.compare import compare
from hybridal_ray.commands.evaluate import evaluate
from hybridal_ray.commands.export import export
from hybridal_ray.commands.fields import fields
from hybridal_ray.commands.forecast import tell_forecast
from hybridal_ray.commands.ingest import absolute, ingest
from hybridal_ray.commands.join import join
from hybridal_ray.commands.labels import labels
from hybridal_ray.commands.predict import predict
from hybridal_ray.commands.telling import tell_pool
from hybridal_ray.commands.thresholds import thresholds
from hybridal_ray.errors import UserError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.add_typer(ingest, name="ingest")
app.command()(predict)
app.command()(evaluate)
app.command()(thresholds)
app.add_typer(export, name="export")
app.add_typer(labels, name="labels")
app.command()(check)
app.command()(join)
app.command()(compare)
app.command("fields")(fields)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


def main() -> None:
    """Runs the command line; what the user can mend is told in one line, with exit code 2."""
    try:
        app()
    except UserError as error:
        sys.stderr.write(f"hybridal: {error}\n")
        sys.exit(2)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"hybridal {__version__}")
        raise typer.Exit


@app.callback()
def _about(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Which frames of which videos to label next."""


@app.command("demo-pool")
def demo_pool(
    out: Annotated[str, typer.Argument(help="Directory or URI of the new pool.")],
    videos: Annotated[int, typer.Option(min=20, help="Videos in all splits.")] = 240,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Generate a pool of made videos: figures in motion, in real H.264 files."""
    from hybridal_ray.pool.demo import generate_demo_pool

    tell_pool(generate_demo_pool(absolute(out), videos=videos, seed=seed), as_json)


@app.command()
def run(
    config: Annotated[Path, typer.Option(help="YAML file; its fields: hybridal fields.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="dotted.key=value", show_default=False)] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for people's labels instead of ending.")] = False,
    accept_partial: Annotated[
        bool, typer.Option("--accept-partial", help="Go on with the labels of a batch that are there.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what the next round will cost.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run the active-learning loop, on the cluster that RAY_ADDRESS names or a local one; again to continue."""
    from hybridal_ray.config import load_config
    from hybridal_ray.labelling import Patience
    from hybridal_ray.loop import run_loop

    settings = load_config(config, overrides or [])
    if dry_run:
        tell_forecast(settings, as_json)
        return
    log = sys.stderr if as_json else sys.stdout
    patience = Patience(wait, accept_partial)
    root = run_loop(settings, say=lambda line: print(line, file=log, flush=True), patience=patience)
    _tell_run(root, as_json)


@app.command()
def status(
    run_directory: Annotated[str, typer.Argument(metavar="RUN", help="Directory or URI of the run.")],
    as_json: AsJson = False,
) -> None:
    """Where a run is: rounds done, what is labelled, what it waits for."""
    _tell_run(run_directory, as_json)


def _tell_run(root: str, as_json: bool) -> None:
    from hybridal_ray.report import run_report

    report = run_report(root)
    if as_json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        report.print(Console())


if __name__ == "__main__":
    main()
