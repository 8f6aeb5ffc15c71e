"""The list of all fields. Oracles: the configuration itself, the documented list, and rows written out."""

import inspect
from pathlib import Path

import pytest

from hybridal_ray.commands.fields import fields_table
from hybridal_ray.config import Config
from hybridal_ray.detectors.building import DETECTORS
from hybridal_ray.errors import UserError

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_page_lists_what_there_is() -> None:
    assert PAGE.read_text().endswith("\n" + fields_table() + "\n")


def test_the_page_has_every_option_of_every_detector() -> None:
    options = PAGE.read_text().split("| field | values |")[0]
    for name, detector in DETECTORS.items():
        assert f"| `{name}` |" in options
        for option in inspect.signature(detector).parameters:
            assert option == "num_classes" or f"`{option}`" in options, (name, option)


def test_every_field_says_what_it_means() -> None:
    rows = [line.strip("|").split(" | ") for line in fields_table().splitlines()[2:]]
    assert len(rows) == len({row[0] for row in rows}) > 130
    assert [row[0] for row in rows if not row[-1].strip()] == []


def test_rows_by_hand() -> None:
    assert fields_table("root").splitlines()[2:] == [
        "| `root` | text | `~/hybridal` | Directory or URI that relative paths below are taken from. |"
    ]
    budget = fields_table("budget")
    assert "| `budget.start_videos` | whole number, `all` | `12` |" in budget
    assert "| `budget.max_seconds` | number, `null` | `null` |" in budget
    assert "| `training.flip` | `true`, `false` | `true` |" in fields_table("training")
    assert "| `stopping.gain.per_hour` | number |  |" in fields_table("stopping.gain")
    assert fields_table("training.loss").count("\n") == 1 + 9


def test_an_unknown_section_is_told_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no section or field 'trainig'; did you mean 'training'\?"):
        fields_table("trainig")


def test_every_section_of_a_run_is_there() -> None:
    listed = fields_table()
    for name in Config.model_fields:
        assert f"| `{name}" in listed
