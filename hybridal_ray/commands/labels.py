"""``hybridal labels …``: labels from people come in, and show where they came from."""

import json
import shlex
from typing import Annotated

import typer

from hybridal_ray.errors import UserError

labels = typer.Typer(no_args_is_help=True, help="Labels from people.")

RunRoot = Annotated[str, typer.Argument(metavar="RUN", help="Directory or URI of the run.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
MOST_LINES = 20  # of one kind that are printed; all of them are in the JSON


@labels.command("import")
def import_labels(
    run: RunRoot,
    files: Annotated[
        list[str], typer.Argument(metavar="FILE", help="Of our own (.json, .parquet), Label Studio's or CVAT's.")
    ],
    annotator: Annotated[str | None, typer.Option(help="Who answered, where the files do not say.")] = None,
    all_seen: Annotated[
        bool, typer.Option("--all-seen", help="Of CVAT: images that were left as they were are answers too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take in files of answers; what cannot be taken of them is told and kept, and does not stop the rest."""
    from hybridal_ray.label_intake import bring_in, open_run, requests_of
    from hybridal_ray.oracles.deliveries import read_delivery

    store, _, pool = open_run(run)
    told, unreadable = [], []
    for file in files:
        try:
            delivery = read_delivery(file, requests_of(store), annotator=annotator, all_seen=all_seen)
        except UserError as error:
            unreadable.append(str(error))
            continue
        told.append(bring_in(store, pool, delivery).as_json())
    _tell(store.root, told, as_json)
    if unreadable:
        raise UserError("; ".join(unreadable))


@labels.command("pull")
def pull(run: RunRoot, as_json: AsJson = False) -> None:
    """Fetch the answers that the annotation tool of the run has so far."""
    from hybridal_ray.label_intake import bring_in, open_run, requests_of
    from hybridal_ray.labelling import asks_people, people_of
    from hybridal_ray.oracles.interface import ToolUnreachable

    store, config, pool = open_run(run)
    if not asks_people(config):
        raise UserError(f"oracle.name is {config.oracle.name!r}, which asks nobody: there is nothing to fetch")
    oracle, told = people_of(config), []
    for request in requests_of(store):
        try:
            delivery = oracle.fetch(request)
        except ToolUnreachable as error:
            raise UserError(f"the annotation tool cannot be reached: {error}; nothing is lost, try again") from error
        if delivery is None:
            raise UserError(
                f"oracle.name is {config.oracle.name!r}, whose answers come in files: "
                f"`hybridal labels import {shlex.quote(run)} FILE`"
            )
        told.append(bring_in(store, pool, delivery).as_json())
    _tell(store.root, told, as_json)


@labels.command("history")
def history(
    run: RunRoot,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="Id of the video.")],
    frame: Annotated[int | None, typer.Option(min=0, help="Of this frame alone.")] = None,
    as_json: AsJson = False,
) -> None:
    """Every answer of a video in the order of the ledger: who, when, what, and what superseded it."""
    from hybridal_ray.label_intake import open_run
    from hybridal_ray.oracles.history import history_of
    from hybridal_ray.pool import ledger

    store, _, pool = open_run(run)
    if video not in pool.videos["video_id"].to_pylist():
        raise UserError(f"{pool.root}/videos.parquet: holds no video {video!r}, expected the id of one")
    entries = [
        entry
        for entry in history_of(ledger.read(store.root), video, pool.classes)
        if frame is None or entry.frame == frame
    ]
    if not entries:
        raise UserError(f"{store.root}: no answer of the video {video!r} is in the ledger")
    if as_json:
        print(json.dumps([entry.as_json() for entry in entries], indent=1))
    else:
        print("\n".join(entry.line() for entry in entries))


@labels.command("cost")
def cost(run: RunRoot, as_json: AsJson = False) -> None:
    """What labels cost in this run, fitted to the time that its answers took."""
    from hybridal_ray.label_intake import open_run
    from hybridal_ray.oracles.cost import labour
    from hybridal_ray.oracles.cost_fit import TERMS, fit_cost
    from hybridal_ray.pool import ledger

    store, _, _ = open_run(run)
    known = ledger.read(store.root)
    fitted, spent = fit_cost(known), labour(known).seconds / 60
    if fitted is None:
        raise UserError(f"{store.root}: too few answers tell how long they took for a cost to be fitted")
    if as_json:
        print(json.dumps({"minutes_spent": spent, **fitted.figures(), "left_out": fitted.left_out}, indent=1))
        return
    for name in TERMS:
        error = fitted.errors[name]
        told = "the answers do not tell" if error is None else f"± {error:.2f}"
        print(f"{name}: {getattr(fitted.model, name):.2f} ({told})")
    print(
        f"fitted to {fitted.answers} answers, {fitted.left_out} left out as too long; {spent:.1f} minutes spent so far"
    )


def _tell(root: str, told: list[dict], as_json: bool) -> None:
    from hybridal_ray.label_intake import awaited
    from hybridal_ray.run_store import RunStore

    waits = awaited(RunStore(root))
    state = "no request is open" if waits is None else f"request {waits[0].request}: {waits[1].line()}"
    if as_json:
        print(json.dumps({"deliveries": told, "state": state}, indent=1))
        return
    for arrival in told:
        counts = {
            name: value for name, value in arrival.items() if isinstance(value, int) and (value or name == "added")
        }
        print(
            f"{arrival['source']}: " + ", ".join(f"{value} {name.replace('_', ' ')}" for name, value in counts.items())
        )
        for name in ("corrections", "outdated", "not_asked", "superseded", "rejected", "remarks"):
            lines = arrival[name]
            for line in lines[:MOST_LINES]:
                print(f"  {name.replace('_', ' ').removesuffix('s')}: {line}")
            if len(lines) > MOST_LINES:
                print(f"  … and {len(lines) - MOST_LINES} more {name.replace('_', ' ')}: --json tells all")
        if arrival["rejected"]:
            print(f"  the rejected records, as they came, are in {root}/rejected")
    print(state)
