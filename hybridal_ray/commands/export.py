"""``hybridal export …``: labels leave as freely as they came."""

from collections.abc import Callable
from typing import Annotated

import typer

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.exports.exporting import Exported
from hybridal_ray.pool.table_checks import check_split
from hybridal_ray.pool.tables import Pool, load_pool

export = typer.Typer(no_args_is_help=True, help="Write the labels of a pool in a format of the field.")

PoolRoot = Annotated[str, typer.Argument(metavar="POOL", help="Directory or URI of the pool.")]
OutFile = Annotated[str, typer.Option(help="The file to write.")]
OutFolder = Annotated[str, typer.Option(help="The folder to write.")]
Split = Annotated[str | None, typer.Option(help="train, val or test; all if not given.")]
Replace = Annotated[bool, typer.Option("--replace", help="Write over files that are there already.")]


@export.command("cvat")
def cvat(pool: PoolRoot, out: OutFolder, split: Split = None, replace: Replace = False) -> None:
    """CVAT for video 1.1: a folder with an XML file for each labelled video."""
    from hybridal_ray.pool.exports.cvat import export_cvat, files_of_cvat

    _write(export_cvat, files_of_cvat, pool, out, split, replace)


@export.command("label-studio")
def label_studio(pool: PoolRoot, out: OutFile, split: Split = None, replace: Replace = False) -> None:
    """Label Studio: JSON tasks with video tracks."""
    from hybridal_ray.pool.exports.label_studio import export_label_studio

    _write(export_label_studio, _one_file, pool, out, split, replace)


@export.command("act")
def act(pool: PoolRoot, out: OutFile, split: Split = None, replace: Replace = False) -> None:
    """ACT, MOC and MultiSports: the ground-truth pickle."""
    from hybridal_ray.pool.exports.act import export_act

    _write(export_act, _one_file, pool, out, split, replace)


@export.command("ava")
def ava(pool: PoolRoot, out: OutFile, split: Split = None, replace: Replace = False) -> None:
    """AVA: csv rows, and the label map beside them."""
    from hybridal_ray.pool.exports.ava import export_ava, files_of_ava

    _write(export_ava, files_of_ava, pool, out, split, replace)


def _one_file(pool: Pool, out: str, split: str | None) -> list[str]:
    return [out]


def _write(
    exporter: Callable[[Pool, str, str | None], Exported],
    files: Callable[[Pool, str, str | None], list[str]],
    root: str,
    out: str,
    split: str | None,
    replace: bool,
) -> None:
    if split is not None:
        check_split(split)
    pool = load_pool(root)
    # The file may be the one that the labels came in, with more in it than a pool keeps.
    there = [] if replace else [file for file in files(pool, out, split) if storage.exists(file)]
    if there:
        raise UserError(f"{there[0]}: is there already, expected a new file, or --replace")
    done = exporter(pool, out, split)
    print(f"{out}: the labels of {done.videos} videos")
    if done.masks_left_out:
        print(
            f"note: {done.masks_left_out} masks were left out, for which the format has no place; their boxes are in it"
        )
