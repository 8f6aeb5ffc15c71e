"""Where a run comes from: code revision, versions, data set, and the name by which tracking knows the run again."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import hybridal_ray
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool

REVISION_VARIABLE = "HYBRIDAL_REVISION"
_DISTRIBUTIONS = ("av", "mlflow", "numpy", "pyarrow", "ray", "scikit-learn", "scipy", "torch")


@dataclass(frozen=True)
class Provenance:
    """What ``provenance.json`` of a run directory holds.

    Attributes:
        run_identity: Random and unique to the run; tracking finds its records of the run again by it, wherever the
            run directory is moved.
        git_revision: Commit of the code, with ``-dirty`` when it was changed; outside a work tree, where jobs run,
            what the variable HYBRIDAL_REVISION says, else ``sources-`` and a hash of the package's files.
        versions: Version of Python, of this package and of the libraries that can move results.
        pool_identity: `Pool.identity` of the pool.
        continued_by: ``git_revision`` and ``versions`` of each later job that ran another code than the one before it.
    """

    run_identity: str
    git_revision: str
    versions: dict[str, str]
    pool_identity: str
    continued_by: tuple[dict[str, Any], ...] = ()


def write_provenance(run_root: str, pool: Pool, git_revision: str | None = None) -> Provenance:
    """Records where a run comes from; a record that is there already stays as it is.

    Args:
        run_root: The run directory, a path or URI.
        pool: The pool of the run.
        git_revision: Commit of the code; None finds it out, see `current_git_revision`.

    Returns:
        The record of the run, new or old.
    """
    if storage.exists(_location(run_root)):
        return read_provenance(run_root)
    provenance = Provenance(
        run_identity=uuid.uuid4().hex,
        git_revision=git_revision or current_git_revision(),
        versions=current_versions(),
        pool_identity=pool.identity(),
    )
    storage.write_json(_location(run_root), asdict(provenance))
    return provenance


def note_other_code(run_root: str, git_revision: str | None = None) -> str | None:
    """Adds to the record of a run that this job goes on with another code or other libraries than the job before it.

    Args:
        run_root: The run directory, which has a record.
        git_revision: Commit of the code; None finds it out.

    Returns:
        What is said of it, None where nothing is other.
    """
    provenance = read_provenance(run_root)
    now: dict[str, Any] = {"git_revision": git_revision or current_git_revision(), "versions": current_versions()}
    first: dict[str, Any] = {"git_revision": provenance.git_revision, "versions": provenance.versions}
    before = provenance.continued_by[-1] if provenance.continued_by else first
    if now == before:
        return None
    storage.write_json(_location(run_root), asdict(replace(provenance, continued_by=(*provenance.continued_by, now))))
    told = {**before["versions"], "code": before["git_revision"]}, {**now["versions"], "code": now["git_revision"]}
    changed = [name for name in sorted({*told[0], *told[1]}) if told[0].get(name) != told[1].get(name)]
    each = ", ".join(f"{name} {told[0].get(name, 'none')} → {told[1].get(name, 'none')}" for name in changed)
    return f"this run goes on with another code than it has run with so far: {each}"


def read_provenance(run_root: str) -> Provenance:
    """Reads the record of a run.

    Raises:
        UserError: There is none, or a field is missing.
    """
    content = storage.read_json(_location(run_root))
    try:
        return Provenance(**{**content, "continued_by": tuple(content.get("continued_by", ()))})
    except TypeError as error:
        raise UserError(f"{_location(run_root)}: expected the fields of a provenance record: {error}") from error


def current_git_revision() -> str:
    """The commit of this package's code, or what stands in for it outside a work tree; see `Provenance`."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(hybridal_ray.__file__).parent
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return os.environ.get(REVISION_VARIABLE) or f"sources-{_hash_of_sources(folder)}"
    return answer.stdout.strip()


def _hash_of_sources(folder: Path) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for file in sorted(folder.rglob("*.py")):
        digest.update(f"{file.relative_to(folder).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.hexdigest()


def current_versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries beneath it that are installed."""
    versions = {"python": platform.python_version(), "hybridal-ray": hybridal_ray.__version__}
    for distribution in _DISTRIBUTIONS:
        try:
            versions[distribution] = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _location(run_root: str) -> str:
    return storage.join(run_root, "provenance.json")
