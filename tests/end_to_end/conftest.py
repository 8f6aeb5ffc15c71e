"""The pool and the undisturbed run that the other runs are compared with, made once a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tiny_runs import run_tiny

from hybridal_ray.pool.demo import generate_demo_pool


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """As the actors have it; two threads are slower on networks this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 demo videos in 6 sources, 20 of them to train on; do not change it."""
    root = tmp_path_factory.mktemp("tiny-pool") / "pool"
    generate_demo_pool(str(root), videos=24, seed=0)
    return root


@pytest.fixture(scope="session")
def undisturbed(tiny_pool: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of `tiny.yaml`, finished in one go in this process; do not change it."""
    run, _ = run_tiny(tmp_path_factory.mktemp("undisturbed"), tiny_pool)
    return run
