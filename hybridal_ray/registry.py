"""Finding an extension (detector, strategy, oracle, importer) by a short name or by a dotted path."""

import difflib
import importlib
import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError

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
    if not isinstance(name, str):
        raise UserError(f"{field}: found {name!r}, expected a name")
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
        found = getattr(importlib.import_module(module_name), attribute)
    except (ImportError, AttributeError, ValueError, SyntaxError) as error:
        raise UserError(f"{field}: {name!r} cannot be imported: {error}") from error
    if not callable(found):
        raise UserError(f"{field}: {name!r} is {found!r}, expected a class or function")
    return found


def check_options(
    constructor: Callable[..., Any], name: str, options: Mapping[str, Any], *, field: str, given: Iterable[str] = ()
) -> None:
    """Compares the options of an extension with what its constructor takes.

    Args:
        constructor: Class or function.
        name: Of the extension, as in the configuration.
        options: Keyword arguments out of the configuration.
        field: The configuration field that holds them.
        given: Arguments that do not come from there.

    Raises:
        UserError: An option is unknown, is not of the annotated type, or one without a default is missing.
    """
    parameters = inspect.signature(constructor).parameters.values()
    named = {p.name: p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in given}
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    for option, value in options.items():
        if option in named:
            _check_type(named[option].annotation, value, field=f"{field}.{option}")
        elif not takes_any:
            known = ", ".join(named) or "none"
            raise UserError(f"{field}.{option}: {name} has no such option (known: {known})" + nearest(option, named))
    for option, parameter in named.items():
        if parameter.default is parameter.empty and option not in options:
            raise UserError(f"{field}.{option}: is missing; {name} cannot be built without it")


def _check_type(annotation: Any, value: Any, *, field: str) -> None:
    """Refuses a value that cannot be of the type; a type that no file could hold is the constructor's own affair."""
    if annotation is inspect.Parameter.empty or isinstance(annotation, str):
        return
    try:
        as_written = json.dumps(value)  # as JSON a list may stand for a tuple, and yet true for no number
        TypeAdapter(annotation).validate_json(as_written, strict=True)
    except ValidationError as error:
        raise UserError(f"{field}: {error.errors()[0]['msg']}, found {value!r}") from error
    except Exception:  # an annotation may be anything, such as a remark, or a name that only its own module knows
        return
