"""A comparison in MLflow: a run of its own for the answer, and tags by which its members can be grouped."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hybridal_ray.pool import storage
from hybridal_ray.tracking.mlflow_sync import RunStatus
from hybridal_ray.tracking.provenance import read_provenance
from hybridal_ray.tracking.round_facts import Point, metric_name
from hybridal_ray.tracking.tracking_server import bounded_patience, make_ready, without_credentials

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

COMPARISON_TAG, ARM_TAG, SEED_TAG = "comparison", "arm", "seed"
REPLACED = "replaced"  # arm of what a run left behind that was deleted and done again


@dataclass(frozen=True)
class MemberRun:
    """A run of the comparison.

    Attributes:
        root: The run directory, begun or not.
        arm: Its arm.
        seed: Its seed.
    """

    root: str
    arm: str
    seed: int


def sync_comparison(
    directory: str,
    members: Sequence[MemberRun],
    *,
    tracking_uri: str,
    experiment: str,
    artifact_root: str | None,
    files: Mapping[str, bytes],
    figures: Mapping[str, float],
    status: RunStatus,
) -> str | None:
    """Sends the answer of a comparison, tags its members and their rounds by arm and seed; what fails is told only.

    Args:
        directory: Of the comparison, with a ``provenance.json``.
        members: Its runs; those that MLflow does not know yet are passed over.
        tracking_uri: Of the server or store.
        experiment: Its name, that of the comparison; created when it does not exist.
        artifact_root: Where a new experiment keeps its artifacts, a path or URI; None leaves it to the server.
        files: The report, by relative path.
        figures: The numbers of the answer, by name; the step is the number of members that MLflow knows.
        status: Of the comparison after this call.

    Returns:
        Why it could not be sent, in one line; None when it was.
    """
    try:
        with bounded_patience():
            make_ready(tracking_uri)
            _send(directory, members, tracking_uri, experiment, artifact_root, files, figures, status)
    except Exception as failure:  # a tracking server must not be able to stop a comparison, whatever it does
        return f"{without_credentials(tracking_uri)}: {type(failure).__name__}: {' '.join(str(failure).split())}"
    return None


def _send(
    directory: str,
    members: Sequence[MemberRun],
    tracking_uri: str,
    experiment: str,
    artifact_root: str | None,
    files: Mapping[str, bytes],
    figures: Mapping[str, float],
    status: RunStatus,
) -> None:
    from mlflow import MlflowClient  # its import takes seconds

    from hybridal_ray.tracking.mlflow_runs import TrackedRun, open_experiment
    from hybridal_ray.tracking.run_sender import KIND_TAG, RUN_TAG

    client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
    experiment_id = open_experiment(client, experiment, artifact_root)
    identity = {RUN_TAG: read_provenance(directory).run_identity, KIND_TAG: "comparison"}
    own = TrackedRun.find_or_create(client, experiment_id, experiment, identity, {COMPARISON_TAG: experiment})
    known, identities = 0, dict[tuple[str, str], str]()
    for member in members:
        if not storage.exists(storage.join(member.root, "provenance.json")):
            continue
        run_identity = read_provenance(member.root).run_identity
        identities[member.arm, str(member.seed)] = run_identity
        # Its rounds too: grouped by arm, those that have none would stand as one more curve.
        for found in client.search_runs([experiment_id], f"tags.`{RUN_TAG}` = '{run_identity}'"):
            known += found.data.tags[KIND_TAG] == "run"
            if ARM_TAG not in found.data.tags:
                tags = {COMPARISON_TAG: experiment, ARM_TAG: member.arm, SEED_TAG: str(member.seed)}
                TrackedRun(client, found.info.run_id).set_tags(tags)
    for found in _members_known(client, experiment_id, experiment):
        own_now = identities.get((found.data.tags[ARM_TAG], found.data.tags[SEED_TAG]))
        if own_now is not None and found.data.tags.get(RUN_TAG) != own_now:
            TrackedRun(client, found.info.run_id).set_tags({ARM_TAG: REPLACED})
    own.add_points(Point(metric_name(name), value, known) for name, value in figures.items())
    own.put_files(files)
    own.set_status(status)


def _members_known(client: "MlflowClient", experiment_id: str, experiment: str) -> "Iterator[Run]":
    """The runs and rounds that MLflow has of a comparison, those of former runs among them."""
    wanted, token = f"tags.`{COMPARISON_TAG}` = '{experiment}' and tags.`{SEED_TAG}` LIKE '%'", None
    while True:
        page = client.search_runs([experiment_id], wanted, page_token=token)
        yield from page
        if not (token := page.token):
            return
