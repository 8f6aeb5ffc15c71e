"""The detectors of a run in MLflow: each round's logged so that it can be loaded again, the best one registered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from hybridal_ray.pool import storage

BEST_ALIAS = "best"
MODEL_NAME = "detector"
_LOADER = "hybridal_ray.tracking.logged_detector"
_REQUIREMENTS = ("hybridal-ray", "numpy", "pyarrow", "torch")


@dataclass(frozen=True)
class Candidate:
    """A round's model, as it may be registered.

    Attributes:
        run_identity: Of the run, `Provenance.run_identity`.
        round_index: Of the round.
        pool_identity: Of the pool that it was evaluated on.
        split: Of the pool, likewise.
        frame_map: Frame-mAP@0.5 on that split, in [0, 1].
        run_id: MLflow's id of the round's run.
    """

    run_identity: str
    round_index: int
    pool_identity: str
    split: str
    frame_map: float
    run_id: str


def pinned_requirements(versions: Mapping[str, str]) -> list[str]:
    """What a machine needs in order to load a model, at the versions of the run; build tags (``+cpu``) are dropped."""
    return [f"{name}=={versions[name].partition('+')[0]}" for name in _REQUIREMENTS if name in versions]


def log_checkpoint(
    client: MlflowClient, experiment_id: str, run_id: str, checkpoint: str, *, step: int, requirements: Sequence[str]
) -> None:
    """Logs a checkpoint directory as the model of a run, unless the run has one; a torn upload is begun anew.

    The weights stay a plain checkpoint (state dict and JSON) that `logged_detector` loads with ``weights_only``.
    MLflow's own flavours of PyTorch store a frozen graph, which cannot sample dropout, or a pickle of code.

    Args:
        client: Of the store.
        experiment_id: Of the run.
        run_id: The run.
        checkpoint: The checkpoint directory, a path or URI.
        step: Labelled frames that it was trained on.
        requirements: Pinned requirements for loading it.
    """
    for model in models_of_run(client, experiment_id, run_id):
        if model.status == LoggedModelStatus.READY:
            return
        client.delete_logged_model(model.model_id)
    model = client.create_logged_model(experiment_id, name=MODEL_NAME, source_run_id=run_id)
    with TemporaryDirectory(prefix="hybridal-model-") as folder:
        description = Model(artifact_path=model.artifact_location, run_id=run_id, model_id=model.model_id)
        mlflow.pyfunc.save_model(
            str(Path(folder, "model")),
            loader_module=_LOADER,
            data_path=_on_this_machine(checkpoint, Path(folder, "checkpoint")),
            pip_requirements=list(requirements),
            mlflow_model=description,
        )
        client.log_model_artifacts(model.model_id, str(Path(folder, "model")))
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=step)])
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)


def register_best(client: MlflowClient, experiment_id: str, name: str, candidate: Candidate) -> None:
    """Registers the best round of a run, and gives it the alias ``best`` if no version of that name is better.

    The comparison is by frame-mAP@0.5 on the evaluated split: the registered figure is therefore an optimistic
    estimate for new videos. Versions are compared only when they were evaluated on the same split of the same pool;
    a version of another split or of a changed pool takes the alias over.

    Args:
        client: Of the store and its registry.
        experiment_id: Of the run.
        name: Of the registered model.
        candidate: The run's best round.
    """
    models = models_of_run(client, experiment_id, candidate.run_id)
    ready = [model for model in models if model.status == LoggedModelStatus.READY]
    if not ready:
        return
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    version = _find_or_create_version(client, name, ready[0], candidate)
    holder = client.get_registered_model(name).aliases.get(BEST_ALIAS)
    if holder is None or _is_better(candidate, client.get_model_version(name, holder)):
        client.set_registered_model_alias(name, BEST_ALIAS, version.version)


def models_of_run(client: MlflowClient, experiment_id: str, run_id: str) -> list[LoggedModel]:
    """The models that a run has logged, whole or not."""
    return list(client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'"))


def _find_or_create_version(client: MlflowClient, name: str, model: LoggedModel, candidate: Candidate) -> ModelVersion:
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == candidate.run_id:
            return version
    tags = {
        "hybridal.run": candidate.run_identity,
        "hybridal.round": str(candidate.round_index),
        "hybridal.pool_identity": candidate.pool_identity,
        "hybridal.split": candidate.split,
        "hybridal.frame_map": repr(candidate.frame_map),
    }
    # The plain location: a `models:/` source would make an SQL store look the model up in MLflow's global store.
    return client.create_model_version(
        name, source=model.artifact_location, run_id=candidate.run_id, tags=tags, model_id=model.model_id
    )


def _is_better(candidate: Candidate, holder: ModelVersion) -> bool:
    measured_on = holder.tags.get("hybridal.pool_identity"), holder.tags.get("hybridal.split")
    if measured_on != (candidate.pool_identity, candidate.split):
        return holder.run_id != candidate.run_id
    return candidate.frame_map > float(holder.tags["hybridal.frame_map"])


def _on_this_machine(directory: str, copy: Path) -> str:
    if not storage.is_uri(directory):
        return directory
    copy.mkdir()
    for location in storage.list_files(directory):
        (copy / location.rpartition("/")[2]).write_bytes(storage.read_bytes(location))
    return str(copy)
