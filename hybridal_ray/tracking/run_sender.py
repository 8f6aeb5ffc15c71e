"""One run directory on its way to MLflow: the parent run, a nested run for each round, and the models."""

import json
from collections.abc import Mapping, Sequence

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, MLFLOW_SOURCE_NAME

from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import Pool
from hybridal_ray.stopping.end_file import read_end
from hybridal_ray.tracking.mlflow_models import Candidate, log_checkpoint, pinned_requirements, register_best
from hybridal_ray.tracking.mlflow_runs import TrackedRun, open_experiment
from hybridal_ray.tracking.provenance import write_provenance
from hybridal_ray.tracking.round_facts import curve_points, flat_settings, round_files, round_points
from hybridal_ray.tracking.rounds_table import FRAME_MAP
from hybridal_ray.tracking.run_reader import (
    RoundRecord,
    evaluated_split,
    read_configuration,
    report_directory,
    round_directory,
)
from hybridal_ray.tracking.sent_markers import mark_sent, round_contents

RUN_TAG = "hybridal.run"  # Provenance.run_identity
KIND_TAG = "hybridal.kind"  # run | round
ROUND_TAG = "hybridal.round"
LEARNING_CURVE = "learning_curve.png"


class RunSender:
    """Finds or creates the parent run of a run directory, and writes to it and its nested runs.

    Args:
        run_root: The run directory, a path or URI.
        pool: The pool of the run.
        tracking_uri: Of the store, which is its registry of models too.
        experiment: Its name; created when it does not exist.
        run_name: Shown for a new parent run.
        artifact_root: Where a new experiment keeps its artifacts; None leaves it to the store.

    Attributes:
        parent_run_id: MLflow's id of the parent run.
    """

    def __init__(
        self, run_root: str, pool: Pool, *, tracking_uri: str, experiment: str, run_name: str, artifact_root: str | None
    ) -> None:
        self._run_root = run_root
        self._provenance = write_provenance(run_root, pool)
        self._client = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)
        self._experiment_id = open_experiment(self._client, experiment, artifact_root)
        self._parent = self._run(run_name, {KIND_TAG: "run"}, {})
        self.parent_run_id = self._parent.run_id
        self._describe_run(pool)

    def send_round(self, record: RoundRecord) -> None:
        """Sends all that a round has so far, and marks it as sent at the very end."""
        contents = round_contents(self._run_root, record)
        child = self._round_run(record)
        child.add_points(round_points(self._run_root, record))
        child.put_files(round_files(self._run_root, record))
        if "train" in record.stage_summaries:
            log_checkpoint(
                self._client,
                self._experiment_id,
                child.run_id,
                storage.join(round_directory(self._run_root, record.index), "train", "checkpoint"),
                step=record.labelled_frames,
                requirements=pinned_requirements(self._provenance.versions),
            )
        if "evaluate" in record.stage_summaries:
            self._parent.add_points(curve_points(record))
        child.set_status("FINISHED" if _is_complete(record) else "RUNNING")
        mark_sent(self._run_root, record, contents, self.parent_run_id, child.run_id)

    def finish(self, records: Sequence[RoundRecord], model_name: str | None, status: str) -> None:
        """Brings the parent up to date: the latest learning curve, the best model, the status.

        Args:
            records: The rounds that have begun, all of them sent.
            model_name: Registered model that receives the best round; None registers nothing.
            status: Of the parent; when it ends, a round that stands half done ends likewise.
        """
        self._show_latest_curve(records)
        if model_name is not None:
            self._register_best(records, model_name)
        if status != "RUNNING" and records and not _is_complete(records[-1]):
            self._round_run(records[-1]).set_status(status)
        self._parent.set_status(status)

    def _describe_run(self, pool: Pool) -> None:
        provenance = self._provenance
        end = read_end(self._run_root)
        later = ", ".join(other["git_revision"] for other in provenance.continued_by)
        versions = {f"version.{name}": version for name, version in provenance.versions.items()}
        self._parent.set_tags(
            {
                MLFLOW_GIT_COMMIT: provenance.git_revision,
                MLFLOW_SOURCE_NAME: "hybridal-ray",
                "git_revision": provenance.git_revision,
                "continued_by": later or "the same code",
                "pool": pool.name,
                "pool_identity": provenance.pool_identity,
                "run_directory": self._run_root,
                "ended_by": "not ended" if end is None else end.criterion,
                "end_reason": "not ended" if end is None else end.reason,
                **versions,
            }
        )
        self._parent.add_settings(flat_settings(read_configuration(self._run_root)))
        profile = {"videos": len(pool.videos), "boxes": len(pool.tubes), "classes": len(pool.classes)}
        self._parent.add_dataset(
            pool.name, provenance.pool_identity, source=json.dumps({"uri": pool.root}), profile=json.dumps(profile)
        )
        names = ("config.yaml", "provenance.json")
        self._parent.put_files({name: storage.read_bytes(storage.join(self._run_root, name)) for name in names})

    def _show_latest_curve(self, records: Sequence[RoundRecord]) -> None:
        for record in reversed(records):
            location = storage.join(report_directory(self._run_root, record.index), LEARNING_CURVE)
            if storage.exists(location):
                self._parent.put_files({LEARNING_CURVE: storage.read_bytes(location)})
                return

    def _register_best(self, records: Sequence[RoundRecord], model_name: str) -> None:
        evaluated = [record for record in records if record.metrics.get(FRAME_MAP) is not None]
        if not evaluated:
            return
        best = max(evaluated, key=lambda record: (record.metrics[FRAME_MAP], -record.index))
        candidate = Candidate(
            run_identity=self._provenance.run_identity,
            round_index=best.index,
            pool_identity=self._provenance.pool_identity,
            split=evaluated_split(read_configuration(self._run_root)),
            frame_map=best.metrics[FRAME_MAP],
            run_id=self._round_run(best).run_id,
        )
        register_best(self._client, self._experiment_id, model_name, candidate)

    def _round_run(self, record: RoundRecord) -> TrackedRun:
        identity = {KIND_TAG: "round", ROUND_TAG: str(record.index)}
        return self._run(f"round {record.index}", identity, {MLFLOW_PARENT_RUN_ID: self.parent_run_id})

    def _run(self, name: str, identity: Mapping[str, str], tags: Mapping[str, str]) -> TrackedRun:
        identity = {RUN_TAG: self._provenance.run_identity, **identity}
        return TrackedRun.find_or_create(self._client, self._experiment_id, name, identity, tags)


def _is_complete(record: RoundRecord) -> bool:
    return "select" in record.stage_summaries  # labelling follows only where another round does
