"""Oracle: git itself, the installed distributions, and a second reading."""

import importlib.metadata
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


def test_two_runs_are_told_apart(tmp_path: Path, squares: Pool) -> None:
    runs = [provenance.write_provenance(str(tmp_path / name), squares, "abc") for name in ("a", "b")]
    assert runs[0].run_identity != runs[1].run_identity


def test_git_revision_is_that_of_the_work_tree() -> None:
    folder = Path(hybridal_ray.__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=False)
    if head.returncode != 0:
        assert provenance.current_git_revision() == provenance.UNKNOWN_REVISION
    else:
        assert provenance.current_git_revision().removesuffix("-dirty") == head.stdout.strip()


def test_without_git_the_revision_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.current_git_revision() == "unknown"


def test_a_broken_record_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "provenance.json").write_text('{"git_revision": "abc"}')
    with pytest.raises(UserError, match=r"provenance\.json: expected the fields"):
        provenance.read_provenance(str(tmp_path))
