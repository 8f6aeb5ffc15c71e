"""The pool of the miniature comparisons, made once a session."""

from pathlib import Path

import pytest

from hybridal_ray.pool.demo import generate_demo_pool


@pytest.fixture(scope="session")
def comparison_pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 demo videos; do not change it."""
    root = tmp_path_factory.mktemp("comparison-pool") / "pool"
    generate_demo_pool(str(root), videos=20, seed=0)
    return root
