"""Joining a Ray cluster, and checking that it can hold what the configuration asks for."""

import os
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hybridal_ray.errors import UserError

CONNECT_SECONDS = 5.0


def connect(address: str | None = None) -> None:
    """Joins the cluster that this process belongs to or that `address` names, or starts a local one.

    Args:
        address: ``host:port`` of a cluster, ``auto``, or None for the variable RAY_ADDRESS; where that is unset too,
            a job joins its own cluster, and any other process starts a cluster on this machine.

    Raises:
        UserError: Nothing answers at the address. (Ray itself would go on trying for minutes.)
    """
    import ray

    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    wanted = address or os.environ.get("RAY_ADDRESS")
    if wanted not in (None, "auto", "local"):
        _probe(str(wanted))
    try:
        ray.init(address=wanted or ("auto" if in_job() else "local"), log_to_driver=True, include_dashboard=False)
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
        UserError: Names the field, what it asks for and what the cluster has.
    """
    import ray

    room: dict[str, Any] = ray.cluster_resources()
    for field, (processes, cpus, gpus) in demands.items():
        for kind, each in (("CPU", cpus), ("GPU", gpus)):
            if processes * each > room.get(kind, 0.0) + 1e-6:
                raise UserError(
                    f"{field}={processes}: asks for {processes * each:g} {kind} ({each:g} each), "
                    f"the cluster has {room.get(kind, 0.0):g}; lower it, add nodes, or set cluster.may_grow=true "
                    "where an autoscaler will add them"
                )


def _probe(address: str) -> None:
    parts = urlsplit(address if "//" in address else f"//{address}")
    try:
        with socket.create_connection((parts.hostname or "", parts.port or 10001), timeout=CONNECT_SECONDS):
            pass
    except (OSError, ValueError) as error:
        raise UserError(
            f"RAY_ADDRESS={address}: nothing answers there ({error}); expected a running Ray head"
        ) from error
