"""Comparisons that take seconds, on the tiny run of the end-to-end tests."""

from pathlib import Path
from typing import Any

import yaml

from hybridal_ray.comparison.comparison_file import Comparison, load_comparison

BASE = Path(__file__).parents[1] / "end_to_end" / "tiny.yaml"


def write_comparison(folder: Path, **fields: Any) -> Path:
    """A file of random and CLAUS over two seeds without Ray; fields replace or add to what is there."""
    tree = {
        "name": "tiny",
        "root": str(folder),
        "config": str(BASE),
        "ray": False,
        "seeds": 2,
        "arms": {
            "random": {"overrides": {"selection.strategy": "random"}},
            "claus": {"overrides": {"selection": {"strategy": "claus"}}},
        },
        **fields,
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump(tree, sort_keys=False))
    return file


def tiny_comparison(folder: Path, **fields: Any) -> Comparison:
    return load_comparison(write_comparison(folder, **fields))
