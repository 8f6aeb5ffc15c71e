"""``hybridal export …``: labels leave as freely as they came."""

from collections.abc import Callable
from typing import Annotated

import typer

from hybridal_ray.pool.table_checks import check_split
from hybridal_ray.pool.tables import Pool, load_pool

export = typer.Typer(no_args_is_help=True, help="Write the labels of a pool in a format of the field.")

PoolRoot = Annotated[str, typer.Argument(metavar="POOL", help="Directory or URI of the pool.")]
OutFile = Annotated[str, typer.Option(help="The file to write.")]
OutFolder = Annotated[str, typer.Option(help="The folder to write.")]
Split = Annotated[str | None, typer.Option(help="train, val or test; all if not given.")]


@export.command("cvat")
def cvat(pool: PoolRoot, out: OutFolder, split: Split = None) -> None:
    """CVAT for video 1.1: a folder with an XML file for each labelled video."""
    from hybridal_ray.pool.exports.cvat import export_cvat

    _write(export_cvat, pool, out, split)


@export.command("label-studio")
def label_studio(pool: PoolRoot, out: OutFile, split: Split = None) -> None:
    """Label Studio: JSON tasks with video tracks."""
    from hybridal_ray.pool.exports.label_studio import export_label_studio

    _write(export_label_studio, pool, out, split)


@export.command("act")
def act(pool: PoolRoot, out: OutFile, split: Split = None) -> None:
    """ACT, MOC and MultiSports: the ground-truth pickle."""
    from hybridal_ray.pool.exports.act import export_act

    _write(export_act, pool, out, split)


@export.command("ava")
def ava(pool: PoolRoot, out: OutFile, split: Split = None) -> None:
    """AVA: csv rows, and the label map beside them."""
    from hybridal_ray.pool.exports.ava import export_ava

    _write(export_ava, pool, out, split)


def _write(exporter: Callable[[Pool, str, str | None], int], root: str, out: str, split: str | None) -> None:
    if split is not None:
        check_split(split)
    videos = exporter(load_pool(root), out, split)
    print(f"{out}: the labels of {videos} videos")
