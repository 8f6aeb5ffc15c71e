"""Fixtures that several rooms share: one local Ray cluster for the session, and the folder of real videos."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from hybridal_ray import cli

settings.register_profile("hybridal", deadline=None)  # machines are shared: how long an example takes says nothing
settings.load_profile("hybridal")

RAY_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # keeps Ray on 127.0.0.1
    "RAY_AUTH_MODE": "disabled",  # or it writes a token file into the home folder
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.2",
    "RAY_TRAIN_ENABLE_PRINT_PATCH": "0",
}


TESTS = Path(__file__).parent


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A cluster of 2 CPUs on loopback, of this session alone; tests that use it carry the mark `ray`.

    Its workers find the package and the test modules, so that a test may send its own classes to them.
    """
    folders = {TESTS.parent, *(path.parent for path in TESTS.rglob("test_*.py"))}
    search_path = os.pathsep.join([*sorted(map(str, folders)), os.environ.get("PYTHONPATH", "")])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**RAY_ENVIRONMENT, "PYTHONPATH": search_path.strip(os.pathsep)}.items():
            patch.setenv(name, value)
        yield from _cluster()


@pytest.fixture
def hybridal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Calls the command line; gives its exit code and what it wrote to stdout and stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hybridal", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        return int(end.value.code or 0), out, err

    return call


@pytest.fixture(scope="session")
def hybridal_data() -> Path:
    """The folder of real videos and annotations; tests that use it carry the mark `data`."""
    folder = os.environ.get("HYBRIDAL_DATA")
    if folder is None:
        pytest.skip("HYBRIDAL_DATA is not set: it names the folder of real videos and annotations")
    return Path(folder)


def _cluster() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=200_000_000,
        log_to_driver=False,
        namespace=f"hybridal-tests-{os.getpid()}",
        _node_ip_address="127.0.0.1",
    )
    yield
    ray.shutdown()
