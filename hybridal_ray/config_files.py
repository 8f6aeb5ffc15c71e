"""What all files of configuration have in common: how they are read, overridden, and what their paths mean."""

import math
import os
from pathlib import Path
from typing import Any

import yaml

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage


def read_tree(path: Path) -> dict[str, Any]:
    """Reads a YAML file of sections and fields.

    Raises:
        UserError: It cannot be read, is no YAML, or holds something else; the message names it.
    """
    try:
        tree = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, dict):
        raise UserError(f"{path}: expected a mapping of fields, found {type(tree).__name__}")
    return tree


def read_override(override: str) -> tuple[str, Any]:
    """The key of ``key=value`` and its value, which is YAML.

    Raises:
        UserError: It has another form, or the value is not valid YAML.
    """
    key, separator, text = override.partition("=")
    if not separator or not key:
        raise UserError(f"override {override!r}: expected dotted.key=value")
    try:
        return key, yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"override {override!r}: the value is not valid YAML") from error


def write_override(key: str, value: Any) -> str:
    """The ``key=value`` that `read_override` takes apart into just these; the value is anything that YAML can hold."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=math.inf)
    return key + "=" + text.removesuffix("\n").removesuffix("\n...")  # the mark of the end, behind a bare scalar


def locate_below(root: str, location: str) -> str:
    """A path as an absolute path or a URI, a relative one taken below `root`, itself a path or URI."""
    above = root if storage.is_uri(root) else str(Path(root).expanduser().absolute())
    return storage.resolve_uri(location if storage.is_uri(location) else os.path.expanduser(location), above)


def refuse_relative_root(root: str) -> None:
    """A Ray job runs in a copy of the repository that is deleted: nothing may be kept relative to it.

    Raises:
        UserError: The root would lie there.
    """
    if not storage.is_uri(root) and not Path(root).expanduser().is_absolute():
        raise UserError(
            f"root={root}: would lie in the job's temporary copy of the repository; expected an absolute path or a URI"
        )
