"""``hybridal join``: one pool of several."""

from typing import Annotated

import typer

from hybridal_ray.commands.ingest import Out, absolute
from hybridal_ray.commands.telling import tell_pool
from hybridal_ray.pool.tables import load_pool


def join(
    pools: Annotated[list[str], typer.Argument(metavar="POOL POOL …", help="Directories or URIs of the pools.")],
    out: Out,
    name: Annotated[str | None, typer.Option(help="Name of the pool; the name of its directory if not given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Make one pool of several; videos stay where they are, in the splits that they have."""
    from hybridal_ray.pool.joining import join_pools

    root = absolute(out)
    found = [load_pool(absolute(pool)) for pool in pools]
    tell_pool(join_pools(found, root, name or root.rstrip("/").rpartition("/")[2]), as_json)
