"""Where a run comes from: code revision, versions, data set, and the name by which tracking knows the run again."""

import importlib.metadata
import platform
import subprocess
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import hybridal_ray
from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool

UNKNOWN_REVISION = "unknown"
_DISTRIBUTIONS = ("av", "mlflow", "numpy", "pyarrow", "ray", "scikit-learn", "scipy", "torch")


@dataclass(frozen=True)
class Provenance:
    """What ``provenance.json`` of a run directory holds.

    Attributes:
        run_identity: Random and unique to the run; tracking finds its records of the run again by it, wherever the
            run directory is moved.
        git_revision: Commit of the code, with ``-dirty`` when it was changed; ``unknown`` outside a work tree.
        versions: Version of Python, of this package and of the libraries that can move results.
        pool_identity: `Pool.identity` of the pool.
    """

    run_identity: str
    git_revision: str
    versions: dict[str, str]
    pool_identity: str


def write_provenance(run_root: str, pool: Pool, git_revision: str | None = None) -> Provenance:
    """Records where a run comes from; a record that is there already stays as it is.

    Args:
        run_root: The run directory, a path or URI.
        pool: The pool of the run.
        git_revision: Commit of the code; None asks git, which cannot answer where a job runs in an unpacked archive.

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


def read_provenance(run_root: str) -> Provenance:
    """Reads the record of a run.

    Raises:
        UserError: There is none, or a field is missing.
    """
    content = storage.read_json(_location(run_root))
    try:
        return Provenance(**content)
    except TypeError as error:
        raise UserError(f"{_location(run_root)}: expected the fields of a provenance record: {error}") from error


def current_git_revision() -> str:
    """Commit of the work tree that this package lies in, ``-dirty`` when changed; ``unknown`` where git has none."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    folder = Path(hybridal_ray.__file__).parent
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return UNKNOWN_REVISION
    return answer.stdout.strip()


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
