"""Sending a run to MLflow: what was not sent yet, as often as one likes, and never at the expense of the run.

One parent run stands for the run, one nested run for each round. The run directory is the truth, and `sent_markers`
remembers there what has arrived.
"""

from dataclasses import dataclass
from typing import Literal

from hybridal_ray.pool.tables import Pool
from hybridal_ray.tracking.run_reader import read_rounds
from hybridal_ray.tracking.sent_markers import rounds_behind
from hybridal_ray.tracking.tracking_server import bounded_patience, make_ready, without_credentials

RunStatus = Literal["RUNNING", "FINISHED", "FAILED"]


@dataclass(frozen=True)
class SyncReport:
    """What one attempt to send a run achieved.

    Attributes:
        parent_run_id: MLflow's id of the parent run, or None where it was not reached.
        sent: Rounds sent by this call.
        pending: Rounds that have something to send and still wait for it.
        error: Why the attempt broke off, in one line; None when all went well.
    """

    parent_run_id: str | None
    sent: tuple[int, ...]
    pending: tuple[int, ...]
    error: str | None


def sync_run(
    run_root: str,
    pool: Pool,
    *,
    tracking_uri: str,
    experiment: str,
    run_name: str,
    artifact_root: str | None = None,
    model_name: str | None = None,
    status: RunStatus = "RUNNING",
) -> SyncReport:
    """Sends what the tracking server does not have yet; whatever fails is reported, never raised.

    Args:
        run_root: The run directory, a path or URI.
        pool: The pool of the run.
        tracking_uri: Of the server or store: ``http://…``, ``sqlite:////absolute/mlflow.db``.
        experiment: Its name; created when it does not exist.
        run_name: Shown for the parent run.
        artifact_root: Where a new experiment keeps its artifacts, a path or URI; None leaves it to the server.
        model_name: Registered model that receives the best round (see `mlflow_models.register_best`); None
            registers nothing.
        status: Of the parent run after this call.

    Returns:
        What was sent, and what waits for the next call.
    """
    parent_run_id, error = None, None
    sent: list[int] = []
    pending: list[int] = []
    try:
        records = read_rounds(run_root, pool)
        pending = rounds_behind(run_root, records, None)
        with bounded_patience():
            make_ready(tracking_uri)
            from hybridal_ray.tracking.run_sender import RunSender  # the import of MLflow takes seconds

            sender = RunSender(
                run_root,
                pool,
                tracking_uri=tracking_uri,
                experiment=experiment,
                run_name=run_name,
                artifact_root=artifact_root,
            )
            parent_run_id = sender.parent_run_id
            pending = rounds_behind(run_root, records, parent_run_id)
            while pending:
                sender.send_round(records[pending[0]])
                sent.append(pending.pop(0))
            sender.finish(records, model_name, status)
    except Exception as failure:  # a tracking server must not be able to stop a run, whatever it does
        reason = " ".join(str(failure).split())
        error = f"{without_credentials(tracking_uri)}: {type(failure).__name__}: {reason}"
    return SyncReport(parent_run_id, tuple(sent), tuple(pending), error)
