"""Oracle: git itself, the installed distributions, and a second reading."""

import importlib.metadata
import re
import subprocess
from pathlib import Path

import pytest

import hybridal_ray
from hybridal_ray.errors import UserError
from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking import provenance


def test_written_once_and_kept(tmp_path: Path, squares: Pool) -> None:
    first = provenance.write_provenance(str(tmp_path), squares, git_revision="abc")
    again = provenance.write_provenance(str(tmp_path), squares, git_revision="def")
    assert first == again == provenance.read_provenance(str(tmp_path))
    assert first.git_revision == "abc"
    assert first.pool_identity == squares.identity()
    assert first.versions["torch"] == importlib.metadata.version("torch")


def test_a_run_that_goes_on_with_other_code_says_so_once(tmp_path: Path, squares: Pool) -> None:
    provenance.write_provenance(str(tmp_path), squares, git_revision="abc")
    assert provenance.note_other_code(str(tmp_path), "abc") is None
    said = provenance.note_other_code(str(tmp_path), "def")
    assert said == "this run goes on with another code than it has run with so far: code abc → def"
    assert provenance.note_other_code(str(tmp_path), "def") is None
    assert provenance.note_other_code(str(tmp_path), "abc") is not None
    record = provenance.read_provenance(str(tmp_path))
    assert (record.git_revision, [other["git_revision"] for other in record.continued_by]) == ("abc", ["def", "abc"])


def test_two_runs_are_told_apart(tmp_path: Path, squares: Pool) -> None:
    runs = [provenance.write_provenance(str(tmp_path / name), squares, "abc") for name in ("a", "b")]
    assert runs[0].run_identity != runs[1].run_identity


def test_git_revision_is_that_of_the_work_tree() -> None:
    folder = Path(hybridal_ray.__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    if head.returncode != 0:
        assert provenance.current_git_revision().startswith("sources-")
    else:
        assert provenance.current_git_revision().removesuffix("-dirty") == head.stdout.strip()


def test_without_git_the_submitter_or_a_hash_names_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("HYBRIDAL_REVISION", raising=False)
    by_hash = provenance.current_git_revision()
    assert re.fullmatch("sources-[0-9a-f]{16}", by_hash)
    assert provenance.current_git_revision() == by_hash
    monkeypatch.setenv("HYBRIDAL_REVISION", "abc-dirty")
    assert provenance.current_git_revision() == "abc-dirty"


def test_the_hash_of_the_code_sees_every_file(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    first = provenance._hash_of_sources(tmp_path)
    (tmp_path / "b.py").write_text("")
    second = provenance._hash_of_sources(tmp_path)
    (tmp_path / "a.py").write_text("x = 2")
    assert len({first, second, provenance._hash_of_sources(tmp_path)}) == 3


def test_a_broken_record_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text('{"git_revision": "abc"}')
    with pytest.raises(UserError, match=r"provenance\.json: expected the fields"):
        provenance.read_provenance(str(tmp_path))
