"""Oracles: files written by hand, and paths worked out by hand."""

from pathlib import Path

import pytest

from hybridal_ray.config_files import locate_below, read_override, read_tree, refuse_relative_root
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
