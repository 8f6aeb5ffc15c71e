"""Addresses are checked against sockets that the tests open or leave closed; room against counts made by hand."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from hybridal_ray import cluster
from hybridal_ray.errors import UserError


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that is taken, so that no one else listens on it, and on which nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def node(cpus: float, gpus: float = 0, alive: bool = True) -> dict[str, object]:
    return {"Alive": alive, "Resources": {"CPU": cpus, **({"GPU": gpus} if gpus else {})}}


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """The nodes of the cluster; to be filled by the test."""
    import ray

    there: list[dict[str, object]] = []
    monkeypatch.setattr(ray, "nodes", lambda: there)
    return there


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nothing_listens_is_told_at_once(dead_port: int, scheme: str) -> None:
    started = time.monotonic()

    with pytest.raises(UserError, match=rf"RAY_ADDRESS={scheme}127.0.0.1:{dead_port}: nothing answers there"):
        cluster.connect(f"{scheme}127.0.0.1:{dead_port}")

    assert time.monotonic() - started < 2 * cluster.CONNECT_SECONDS


def test_the_variable_is_read(dead_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{dead_port}")

    with pytest.raises(UserError, match=str(dead_port)):
        cluster.connect()


@pytest.mark.parametrize("address", ["http://127.0.0.1:8265", "somewhere", "127.0.0.1:ray", "127.0.0.1:999999"])
def test_another_form_of_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match="expected host:port of a Ray head, ray://host:port, auto or local"):
        cluster.connect(address)


def test_a_job_knows_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_JOB_CONFIG_JSON_ENV_VAR", raising=False)
    assert not cluster.in_job()
    monkeypatch.setenv("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}")
    assert cluster.in_job()


@pytest.mark.parametrize(
    ("there", "demand"),
    [
        ([node(2)], (2, 1, 0)),
        ([node(2), node(2)], (4, 1, 0)),
        ([node(0.3)], (3, 0.1, 0)),  # in floating point 3 × 0.1 > 0.3
        ([node(4, 1)], (4, 1, 0.25)),
        ([node(1), node(8, 2)], (2, 4, 1)),
        ([node(0)], (0, 1, 1)),
    ],
)
def test_what_fits_is_let_pass(
    nodes: list[dict[str, object]], there: list[dict[str, object]], demand: tuple[int, float, float]
) -> None:
    nodes.extend(there)
    cluster.check_room({"training.workers": demand})


@pytest.mark.parametrize(
    ("there", "demand", "room"),
    [
        ([node(2)], (3, 1, 0), 2),
        ([node(2), node(2)], (1, 4, 0), 0),  # four CPUs in all, but no process spreads over nodes
        ([node(8)], (1, 1, 1), 0),
        ([node(8, 1)], (3, 1, 0.4), 2),
        ([node(2), node(2, alive=False)], (3, 1, 0), 2),
        ([node(2, 8), node(64)], (4, 1, 1), 2),
    ],
)
def test_what_does_not_fit_is_named(
    nodes: list[dict[str, object]], there: list[dict[str, object]], demand: tuple[int, float, float], room: int
) -> None:
    nodes.extend(there)

    with pytest.raises(UserError, match=rf"scoring.actors={demand[0]}: .* room for {room} .*cluster.may_grow=true"):
        cluster.check_room({"training.workers": (0, 1, 0), "scoring.actors": demand})


def test_room_is_counted_node_by_node(nodes: list[dict[str, object]]) -> None:
    nodes.extend([node(5), node(2, 1), node(8, alive=False)])
    assert cluster.room_for(2, 0) == 3
    assert cluster.room_for(0.5, 0.25) == 4
    assert cluster.room_for(6, 0) == 0


@pytest.mark.ray
@pytest.mark.usefixtures("ray_cluster")
def test_the_room_of_a_real_cluster_is_read() -> None:
    cluster.connect()  # joined already
    cluster.check_room({"training.workers": (2, 1, 0)})
    with pytest.raises(UserError, match=r"its nodes: 2 CPU and 0 GPU"):
        cluster.check_room({"training.workers": (3, 1, 0)})


@pytest.mark.ray
@pytest.mark.slow
def test_a_local_cluster_listens_on_loopback_and_its_workers_know_it() -> None:
    script = """
import json, os, psutil
from hybridal_ray import cluster
cluster.connect()
import ray
told = ray.get(ray.remote(lambda: os.environ.get("RAY_ADDRESS")).remote())
below = psutil.Process().children(recursive=True)
listening = [c.laddr.ip for p in below for c in p.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
print(json.dumps([told, ray.get_runtime_context().gcs_address, os.environ.get("RAY_ADDRESS"), listening]))
"""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}

    ended = subprocess.run([sys.executable, "-c", script], env=clean, capture_output=True, text=True, check=True)

    told, joined, left_over, listening = json.loads(ended.stdout.splitlines()[-1])
    assert told == joined
    assert left_over is None
    assert listening
    assert all(address in ("127.0.0.1", "::1", "::ffff:127.0.0.1") for address in listening)
