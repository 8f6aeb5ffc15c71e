"""Runs of MLflow that are found again by their tags, and filled with what they lack.

Every method can be repeated after a crash at any point: what the store has already is not written twice.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.tracking.round_facts import Point

_METRICS_A_CALL, _PARAMS_A_CALL = 1000, 100  # limits of MLflow's log_batch


def open_experiment(client: MlflowClient, name: str, artifact_root: str | None) -> str:
    """The id of an experiment, which is created when it does not exist.

    Args:
        client: Of the store.
        name: Of the experiment.
        artifact_root: Where a new experiment keeps its artifacts, a path or URI; None leaves it to the store.

    Raises:
        UserError: The experiment is in MLflow's bin.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        location = artifact_root if artifact_root is None or storage.is_uri(artifact_root) else _file_uri(artifact_root)
        try:
            return client.create_experiment(name, artifact_location=location)
        except MlflowException:
            experiment = client.get_experiment_by_name(name)  # another run may have created it in between
            if experiment is None:
                raise
    if experiment.lifecycle_stage != "active":
        raise UserError(f"experiment {name!r} was deleted in MLflow; restore it there, or name another one")
    return experiment.experiment_id


class TrackedRun:
    """One run of the store.

    Args:
        client: Of the store.
        run_id: MLflow's id of the run.
    """

    def __init__(self, client: MlflowClient, run_id: str) -> None:
        self._client = client
        self.run_id = run_id

    @classmethod
    def find_or_create(
        cls, client: MlflowClient, experiment_id: str, name: str, identity: Mapping[str, str], tags: Mapping[str, str]
    ) -> "TrackedRun":
        """The run that carries the identifying tags; a new one carries the further tags too.

        Args:
            client: Of the store.
            experiment_id: Where it is looked for.
            name: Shown for a new run.
            identity: Tags that no other run has all of.
            tags: Further tags of a new run.
        """
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
        found = client.search_runs([experiment_id], wanted, order_by=["attributes.start_time ASC"], max_results=1)
        run = found[0] if found else client.create_run(experiment_id, tags={**identity, **tags}, run_name=name)
        return cls(client, run.info.run_id)

    def add_points(self, points: Iterable[Point]) -> None:
        """Logs the points that the run does not have yet."""
        by_name: dict[str, list[Point]] = defaultdict(list)
        for point in points:
            by_name[point.name].append(point)
        started = self._client.get_run(self.run_id).data.metrics
        now = int(time.time() * 1000)
        missing: list[Metric] = []
        for name, wanted in by_name.items():
            history = self._client.get_metric_history(self.run_id, name) if name in started else []
            known = {(metric.step, metric.value) for metric in history}
            missing += [Metric(name, p.value, now, p.step) for p in wanted if (p.step, p.value) not in known]
        for start in range(0, len(missing), _METRICS_A_CALL):
            self._client.log_batch(self.run_id, metrics=missing[start : start + _METRICS_A_CALL])

    def add_settings(self, settings: Mapping[str, str]) -> None:
        """Logs the settings that the run does not have yet; MLflow lets none be changed afterwards."""
        known = self._client.get_run(self.run_id).data.params
        missing = [Param(name, value) for name, value in settings.items() if name not in known]
        for start in range(0, len(missing), _PARAMS_A_CALL):
            self._client.log_batch(self.run_id, params=missing[start : start + _PARAMS_A_CALL])

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Sets tags, over those of the same name."""
        self._client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def add_dataset(self, name: str, digest: str, source: str, profile: str) -> None:
        """Names the data that the run learns from; the same again changes nothing.

        Args:
            name: Of the data set.
            digest: Hash of its content, at most 36 characters.
            source: Where it lies, as JSON.
            profile: How large it is, as JSON.
        """
        dataset = Dataset(name=name, digest=digest, source_type="hybridal_pool", source=source, profile=profile)
        context = [InputTag("mlflow.data.context", "active learning")]
        self._client.log_inputs(self.run_id, [DatasetInput(dataset, context)])

    def put_files(self, files: Mapping[str, bytes]) -> None:
        """Uploads files under their relative paths, over those of the same path."""
        with TemporaryDirectory(prefix="hybridal-artifacts-") as folder:
            for name, content in files.items():
                target = Path(folder, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
            self._client.log_artifacts(self.run_id, folder)

    def set_status(self, status: str) -> None:
        """Sets RUNNING, FINISHED or FAILED; the last two end the run, the first resumes it."""
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status=status)


def _file_uri(path: str) -> str:
    return Path(path).absolute().as_uri()
