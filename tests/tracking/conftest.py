"""A finished synthetic run, made once: tests that change it copy it first."""

import shutil
from pathlib import Path

import pytest
from synthetic_run import write_pool, write_run

from hybridal_ray.pool.tables import Pool


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    return write_pool(tmp_path_factory.mktemp("pool"))


@pytest.fixture(scope="session")
def finished_run(squares: Pool, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two whole rounds: do not change it."""
    root = tmp_path_factory.mktemp("finished") / "run"
    write_run(root, squares, rounds=2)
    return root


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of `finished_run` to change at will."""
    return Path(shutil.copytree(finished_run, tmp_path / "run"))
