"""``hybridal thresholds``: which thresholds suit a checkpoint, found on the validation split."""

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from hybridal_ray.commands.predict import checked_settings, detection_settings, yaml_value
from hybridal_ray.errors import UserError

BEST = 5


def thresholds(
    checkpoint: Annotated[str, typer.Option(help="Directory of the detector.")],
    pool: Annotated[str, typer.Option(help="Pool; of it only the split `val` is looked at.")],
    try_values: Annotated[
        list[str] | None, typer.Option("--try", metavar="FIELD=[VALUE,…]", help="Of the section `evaluation`.")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="What is set and not searched.")
    ] = None,
    metric: Annotated[
        str, typer.Option(help="Figure to choose the thresholds by; higher is better.")
    ] = "video_map@0.5",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Search the thresholds of the section `evaluation` on the validation split."""
    from hybridal_ray.evaluation.threshold_search import GRID, SPLIT, search_thresholds
    from hybridal_ray.pool.tables import load_pool

    base = detection_settings(setting or [])
    fixed = [override.partition("=")[0] for override in setting or []]
    grid = _grid(try_values or [], fixed) or {field: values for field, values in GRID.items() if field not in fixed}
    known = load_pool(pool)
    videos = known.usable_videos(SPLIT)
    if not videos:
        raise UserError(f"{pool}/videos.parquet: no video of split {SPLIT!r} has status 'ok'")
    ids = [video.video_id for video in videos]
    trials = search_thresholds(
        videos,
        known.tubes_of(ids),
        known.classes,
        checkpoint,
        labelled=known.labelled_frames_of(ids),
        base=base,
        grid=grid,
        metric=metric,
        device=device,
        progress=lambda done, total: print(f"{done} of {total} videos", file=sys.stderr),
    )
    told = dict.fromkeys([*grid, *fixed])  # with what was set, or a line that is copied would reach another figure
    rows = [{metric: trial.value, **{name: getattr(trial.settings, name) for name in told}} for trial in trials]
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    for row in rows[:BEST]:
        overrides = " ".join(f"evaluation.{name}={value}" for name, value in row.items() if name != metric)
        print(f"{metric} {row[metric]:.4f}: {overrides}")


def _grid(try_values: Sequence[str], fixed: Sequence[str]) -> dict[str, Sequence[Any]]:
    grid: dict[str, Sequence[Any]] = {}
    for text in try_values:
        field, values = _values(text)
        if field in grid:
            raise UserError(f"--try {text}: {field} is tried already, expected all its values in one list")
        if field in fixed:
            raise UserError(f"--try {text}: {field} is given by --set too, expected it in one of them")
        grid[field] = values
    return grid


def _values(text: str) -> tuple[str, list[Any]]:
    field = text.partition("=")[0]
    values = yaml_value("--try", text)
    if not isinstance(values, list) or not values:
        raise UserError(f"--try {text}: expected FIELD=[VALUE,…]")
    # As the section has them, such as 1 for true, and refused now, not after the pass.
    return field, [getattr(checked_settings("--try", {field: value}), field) for value in values]
