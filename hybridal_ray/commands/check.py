"""``hybridal check``: is everything there, does it decode, do the labels fit?"""

import json
import os
import sys
import tempfile
import time
from typing import Annotated

import pyarrow.fs as pafs
import typer
from rich.console import Console

from hybridal_ray.commands.telling import progress_bar
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import load_pool


def check(
    pool: Annotated[str, typer.Argument(metavar="POOL", help="Directory or URI of the pool.")],
    actors: Annotated[
        int, typer.Option(min=0, help="Ray actors that decode, on the cluster of RAY_ADDRESS or a local one; 0: none.")
    ] = 2,
    seconds_per_video: Annotated[
        float, typer.Option(min=1, help="For each 1,000 frames; then a video counts as unreadable.")
    ] = 600,
    fix: Annotated[str | None, typer.Option(help="Directory or URI of a new pool without what is unusable.")] = None,
    work_dir: Annotated[
        str | None, typer.Option(help="Where what has been seen is kept, to go on there; on storage of all nodes.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
) -> None:
    """Decode every video of a pool once; exit code 1 if one of them cannot be used."""
    from hybridal_ray.check import check_pool
    from hybridal_ray.cluster import connect
    from hybridal_ray.dispatch import ActorPlan
    from hybridal_ray.pool.mending import write_mended

    found = load_pool(pool)
    if fix is not None:
        _refuse_to_overwrite(fix, pool)
    if actors > 0:
        connect()
    with tempfile.TemporaryDirectory(prefix="hybridal-check-") as scratch, progress_bar("decoding videos") as progress:
        plan = ActorPlan(actors=actors, seconds_per_video=seconds_per_video)
        beside = storage.join(pool, "check", time.strftime("%Y%m%d-%H%M%S")) if storage.is_uri(pool) else scratch
        report = check_pool(found, work_dir or beside, plan, progress)
    if as_json:
        print(json.dumps(report.as_json(), indent=1))
    else:
        report.print(Console())
    if fix is not None and report.unusable == report.videos:
        print(f"{fix}: not written, for no video is usable", file=sys.stderr)
    elif fix is not None:
        mended = write_mended(found, fix, report.seen, report.findings)
        print(f"{fix}: a pool of the {len(mended.videos)} usable videos", file=sys.stderr)
    elif report.unusable and not storage.is_uri(pool) and not as_json:
        print(f"`hybridal check {pool} --fix NEW` writes a pool without them", file=sys.stderr)
    raise typer.Exit(1 if report.unusable else 0)


def _refuse_to_overwrite(fix: str, pool: str) -> None:
    if _place(fix) == _place(pool):
        raise UserError(f"--fix: {fix} is the pool that is checked; expected another place")
    if storage.exists(storage.join(fix, "pool.json")):
        raise UserError(f"--fix: {fix} holds a pool already; expected a place without one")


def _place(location: str) -> tuple[str, str]:
    """What two names of one directory have in common: relative, absolute, through a link, as ``file://``."""
    system, path = storage.filesystem(location)
    local = isinstance(system, pafs.LocalFileSystem)
    return system.type_name, os.path.realpath(path) if local else path.rstrip("/")
