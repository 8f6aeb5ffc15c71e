"""Nested mappings as fields by dotted name, as overrides and messages name them: ``training.loss.window``."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any


def leaves(
    tree: Mapping[str, Any], prefix: str = "", whole: Collection[str] = frozenset()
) -> Iterator[tuple[str, Any]]:
    """The fields of nested mappings by dotted name; lists and empty mappings are leaves.

    Args:
        tree: The mappings.
        prefix: Before each name, with its dot.
        whole: Names of mappings that are leaves too.
    """
    for key, value in tree.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value and name not in whole:
            yield from leaves(value, f"{name}.", whole)
        else:
            yield name, value


def without(fields: Iterable[tuple[str, Any]], left_out: Collection[str]) -> dict[str, Any]:
    """Fields by dotted name but those that are left out, sections among them."""
    return {name: value for name, value in fields if not any(f"{name}.".startswith(f"{out}.") for out in left_out)}
