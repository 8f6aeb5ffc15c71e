"""Oracles: files written by hand, and paths worked out by hand."""

import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hybridal_ray.config_files import locate_below, read_override, read_tree, refuse_relative_root, write_override
from hybridal_ray.errors import UserError


def test_a_tree_is_read_as_it_stands(tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text("run: a\nbudget: {start_videos: 3}\n")
    assert read_tree(file) == {"run": "a", "budget": {"start_videos": 3}}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a: [", "not valid YAML"),
        (b"\xff\xfe\xfa", "not valid YAML"),
        (b"- a\n", "expected a mapping of fields, found list"),
    ],
)
def test_what_is_no_tree_is_told_with_its_name(content: bytes, told: str, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"run\.yaml: {told}"):
        read_tree(file)
    with pytest.raises(UserError, match=r"other\.yaml: cannot be read"):
        read_tree(tmp_path / "other.yaml")


def test_the_value_of_an_override_is_yaml() -> None:
    assert read_override("a.b={c: 1}") == ("a.b", {"c": 1})
    assert read_override("a=b=c") == ("a", "b=c")
    for wrong in ("a", "=3"):
        with pytest.raises(UserError, match=r"expected dotted\.key=value"):
            read_override(wrong)
    with pytest.raises(UserError, match="not valid YAML"):
        read_override("a=[1,")


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.dates(datetime.date(1000, 1, 1))
)


@given(st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6))
@example("\x85")  # a line break to YAML, unless it is escaped
@example("films🎬")
def test_a_written_override_is_read_as_what_it_was(value: Any) -> None:
    assert read_override(write_override("a.b", value)) == ("a.b", value)


def test_an_override_is_written_as_a_person_would() -> None:
    assert write_override("a.b", 0.00001) == "a.b=1.0e-05"
    assert write_override("a", {"b": [1, None], "c": "x"}) == "a={b: [1, null], c: x}"


@pytest.mark.parametrize(
    ("root", "location", "where"),
    [("/data", "runs/a", "/data/runs/a"), ("/data", "/b", "/b"), ("s3://bucket/x", "runs/a", "s3://bucket/x/runs/a")],
)
def test_relative_paths_lie_below_the_root(root: str, location: str, where: str) -> None:
    assert locate_below(root, location) == where


def test_a_job_keeps_nothing_relative_to_its_copy() -> None:
    for fine in ("/data", "~/hybridal", "s3://bucket/x"):
        refuse_relative_root(fine)
    with pytest.raises(UserError, match="root=results: would lie in the job's temporary copy"):
        refuse_relative_root("results")
