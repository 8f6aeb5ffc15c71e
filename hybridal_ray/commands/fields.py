"""``hybridal fields``: every field of a run's configuration, with its values, its default and what it means."""

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from hybridal_ray.errors import UserError
from hybridal_ray.registry import nearest


def fields(
    section: Annotated[
        str | None, typer.Argument(help="Such as scoring or training.loss; all where not given.")
    ] = None,
) -> None:
    """List the fields of a run's configuration: values, default, meaning."""
    print(fields_table(section))


def fields_table(section: str | None = None) -> str:
    """The fields as a Markdown table.

    Args:
        section: Dotted name of a section or field; None is all.

    Raises:
        UserError: There is none of that name.
    """
    rows = list(_rows())
    chosen = [row for row in rows if section is None or f"{row[0]}.".startswith(f"{section}.")]
    if not chosen:
        known = {name.rpartition(".")[0] or name for name, *_ in rows}
        raise UserError(f"fields: no section or field {section!r}" + nearest(str(section), known))
    lines = ["| field | values | default | |", "| --- | --- | --- | --- |"]
    return "\n".join(
        [*lines, *(f"| `{name}` | {values} | {default} | {told} |" for name, values, default, told in chosen)]
    )


def _rows() -> Iterator[tuple[str, str, str, str]]:
    from hybridal_ray.config import Config
    from hybridal_ray.section import fields_below

    for name, field in fields_below(Config):
        default = "" if field.is_required() else f"`{_written(field.get_default(call_default_factory=True))}`"
        yield name, _values(field.annotation), default, field.description or ""


def _values(annotation: Any) -> str:
    """A type as a user would write its values."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _values(parts[0])
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin in (Union, types.UnionType):
        return ", ".join(_values(part) for part in parts)
    if origin in (list, tuple):
        return "list"
    if origin is dict:
        return "mapping"
    return {int: "whole number", float: "number", str: "text", bool: "`true`, `false`", type(None): "`null`"}[
        annotation
    ]


def _written(value: Any) -> str:
    """A default as it would stand in a YAML file."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, tuple):
        return str(list(value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
