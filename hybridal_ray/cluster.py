"""Joining a Ray cluster, and checking that it can hold what the configuration asks for.

The workers of the cluster are told its address (RAY_ADDRESS). Where several clusters run on a machine, parts of Ray
would ask the one that was started last: Ray Train's PlacementGroupCleaner does not find its trainer there, takes it
for dead, and takes the workers away from it (seen with Ray 2.60).
"""

import os
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from hybridal_ray.errors import UserError

CONNECT_SECONDS = 5.0
LOOPBACK = ("127.0.0.1", "localhost")

_EXPECTED = "expected host:port of a Ray head, ray://host:port, auto or local"


def connect(address: str | None = None) -> None:
    """Joins the cluster that this process belongs to or that `address` names, or starts a local one.

    Args:
        address: ``host:port`` of a cluster, ``auto``, or None for the variable RAY_ADDRESS; where that is unset too,
            a job joins its own cluster, and any other process starts a cluster on this machine.

    Raises:
        UserError: The address has another form, or nothing answers there. (Ray itself would try for minutes.)
    """
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    wanted = address or os.environ.get("RAY_ADDRESS") or ("auto" if in_job() else "local")
    host = None if wanted in ("auto", "local") else _probe(wanted)
    if host is None or host in LOOPBACK:
        # Else Ray replaces 127.0.0.1 by the address of the network card: a local cluster would listen on every
        # interface, and one that listens on loopback would not be found. Read when Ray is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    import ray

    if ray.is_initialized():
        return
    if wanted == "local":
        _start_local()
        return
    try:
        ray.init(address=wanted, runtime_env=None if host is None else {"env_vars": {"RAY_ADDRESS": wanted}})
    except ConnectionError as error:
        raise UserError(f"RAY_ADDRESS={wanted}: no Ray cluster is running there; start one with `ray start`") from error


def in_job() -> bool:
    """Whether this process was started by ``ray job submit``."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def check_room(demands: Mapping[str, tuple[int, float, float]]) -> None:
    """Refuses a run for which the cluster has no room, instead of waiting for nodes that nobody will add.

    Args:
        demands: By configuration field, how many processes run at a time, and the CPUs and GPUs of each.

    Raises:
        UserError: Names the field, what it asks for and what the nodes of the cluster have.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for field, (processes, cpus, gpus) in demands.items():
        room = _room(nodes, cpus, gpus, processes)
        if room < processes:
            each = f"{cpus:g} CPU" + (f" and {gpus:g} GPU" if gpus else "")
            there = "; ".join(f"{node.get('CPU', 0):g} CPU and {node.get('GPU', 0):g} GPU" for node in nodes)
            raise UserError(
                f"{field}={processes}: asks for {processes} processes of {each} each, the cluster has room for {room} "
                f"(its nodes: {there}); lower it, add nodes, or set cluster.may_grow=true where an autoscaler adds them"
            )


def room_for(cpus: float, gpus: float) -> int:
    """For how many processes of so many CPUs and GPUs each the nodes of the cluster have room, were they idle.

    Args:
        cpus: Positive.
        gpus: 0 or more.
    """
    import ray

    return _room([node["Resources"] for node in ray.nodes() if node["Alive"]], cpus, gpus, sys.maxsize)


def _room(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float, wanted: int) -> int:
    return sum(_room_on(node, {"CPU": cpus, "GPU": gpus}, wanted) for node in nodes)


def _start_local() -> None:
    """Starts a cluster in this process whose workers know its address."""
    import ray

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with _environment(RAY_GCS_SERVER_PORT=str(port), RAY_ADDRESS=f"127.0.0.1:{port}"):
        ray.init(address="local", include_dashboard=False)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Sets variables for the processes that are started inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _room_on(node: Mapping[str, float], each: Mapping[str, float], wanted: int) -> int:
    """How many processes fit on an idle node, at most `wanted`; one process does not spread over nodes."""
    # Fractions such as 3 × 0.1 fall short of their sum by rounding.
    counts = [int(node.get(name, 0.0) / amount + 1e-6) for name, amount in each.items() if amount > 0]
    return min([wanted, *counts])


def _probe(address: str) -> str:
    """Knocks at an address.

    Returns:
        Its host.
    """
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        host, port = parts.hostname, parts.port or (10001 if parts.scheme == "ray" else None)
    except ValueError:
        host, port = None, None
    if host is None or port is None or parts.scheme not in ("", "ray"):
        raise UserError(f"RAY_ADDRESS={address}: {_EXPECTED}")
    try:
        socket.create_connection((host, port), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise UserError(f"RAY_ADDRESS={address}: nothing answers there ({error}); {_EXPECTED}") from error
    return host
