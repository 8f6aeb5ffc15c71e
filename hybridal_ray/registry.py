"""Finding an extension (detector, strategy, oracle, importer) by a short name or by a dotted path."""

import difflib
import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from hybridal_ray.errors import UserError


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns a hint such as ``; did you mean 'claus'?``, or an empty string when nothing is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def resolve(name: str, registered: Mapping[str, Any], *, field: str) -> Any:
    """Looks an extension up.

    Args:
        name: A key of `registered`, or a dotted path ``package.module:Name`` of the user's own.
        registered: The extensions that come with the package.
        field: The configuration field that holds `name`, for the error message.

    Returns:
        The registered object, or the attribute that the dotted path names.

    Raises:
        UserError: Nothing of that name is registered, or the dotted path cannot be imported.
    """
    if name in registered:
        return registered[name]
    if ":" not in name:
        known = ", ".join(sorted(registered))
        raise UserError(
            f"{field}: no {name!r} is known (known: {known}; or a dotted path package.module:Name)"
            + nearest(name, registered)
        )
    module_name, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{field}: {name!r} cannot be imported: {error}") from error
