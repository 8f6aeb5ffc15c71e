"""The answers of people as they come in: checked against what was asked, and added to the ledger of the run.

They come whenever people like, by a command of their own; so what is added to the ledger is decided under a lock of its
own, beside that of the run's job.
"""

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.config import Config, parse_config
from hybridal_ray.oracles.arrivals import Arrival, settle
from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.oracles.progress import Progress, progress_of
from hybridal_ray.pool import ledger, storage
from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.requests.request import Request, read_request, request_exists
from hybridal_ray.run_store import RunStore

logger = logging.getLogger(__name__)

REQUEST = "request"  # directory of a round


def open_run(root: str) -> tuple[RunStore, Config, Pool]:
    """The directory of a run, its configuration and its pool, for reading and for labels that come in.

    Raises:
        UserError: There is no run, or its pool has moved away.
    """
    store = RunStore(root)
    tree = {name: value for name, value in store.config().items() if name != "pool_identity"}
    config = parse_config(tree, storage.join(root, "config.yaml"))
    return store, config, load_pool(config.locate(config.pool.path))


def bring_in(store: RunStore, pool: Pool, delivery: Delivery) -> Arrival:
    """Adds what a delivery holds that is new to the ledger of a run, in files that appear whole or not at all.

    What cannot be taken is written to ``rejected/`` of the run first, so that it is never lost without a word.
    """
    with ledger_lock(store.root):
        closed = {for_round_of(index) for index in (None, *store.rounds_begun()) if store.stage(index, "label").done}
        open_round = max(closed, default=-1) + 1
        arrival = settle(delivery, requests_of(store), pool, ledger.read(store.root), open_round, closed)
        if arrival.rejected:
            _write_rejected(store.root, arrival)
        for round_index in sorted(set(arrival.rows["round"].to_pylist())):
            rows = arrival.rows.filter(pc.equal(arrival.rows["round"], round_index))
            ledger.append(store.root, _name_of_part(store.root, round_index, rows), rows)
    return arrival


def requests_of(store: RunStore) -> list[Request]:
    """All requests that the run has made, in their order."""
    requests = (request_at(store, index) for index in (None, *store.rounds_begun()))
    return [request for request in requests if request is not None]


def request_at(store: RunStore, round_index: int | None) -> Request | None:
    """The request for the picks of a round, None where there is none.

    Its run is the directory as it is called now: it may have been moved since the request was written.
    """
    directory = storage.join(store.round_directory(round_index), REQUEST)
    return replace(read_request(directory), run=store.root) if request_exists(directory) else None


def awaited(store: RunStore) -> tuple[Request, Progress] | None:
    """The request that the run waits for, and how far it is; None where it waits for none."""
    for round_index in (None, *store.rounds_begun()):
        request = request_at(store, round_index)
        if request is not None and not store.stage(round_index, "label").done:
            return request, progress_of(request, ledger.read(store.root))
    return None


def _write_rejected(root: str, arrival: Arrival) -> None:
    """The records as they came, and what is wrong with each; the same delivery again writes the same file."""
    listed = [asdict(rejected) for rejected in arrival.rejected]
    content = json.dumps(listed, indent=1, sort_keys=True, default=str).encode()
    digest = hashlib.blake2b(content, digest_size=4).hexdigest()
    stem = arrival.source.rstrip("/").rpartition("/")[2].rpartition(".")[0] or "delivery"
    storage.write_bytes(storage.join(root, "rejected", f"{stem}-{digest}.json"), content + b"\n")


def _name_of_part(root: str, round_index: int, rows: pa.Table) -> str:
    """The next file of a round; the digest keeps two writers apart where an object store knows no lock."""
    prefix = f"round-{round_index:03d}-"
    parts = [name for name in storage.list_files(storage.join(root, "labels")) if f"/{prefix}" in name]
    digest = hashlib.blake2b(json.dumps(rows.to_pylist(), default=str).encode(), digest_size=4).hexdigest()
    return f"{prefix}{len(parts):05d}-{digest}"


@contextmanager
def ledger_lock(root: str) -> Iterator[None]:
    """Keeps others from adding to the ledger of a local run; object stores and some file systems know no such lock."""
    if storage.is_uri(root):
        yield
        return
    with (Path(root) / "labels.lock").open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            logger.warning("%s cannot be locked (%s): bring labels in from one place at a time", root, error)
        yield


def for_round_of(round_index: int | None) -> int:
    """The round that trains on the picks of another; None stands for those of the start."""
    return 0 if round_index is None else round_index + 1
