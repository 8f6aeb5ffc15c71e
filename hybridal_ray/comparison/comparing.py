"""Runs a comparison, or goes on with it: does the jobs that are left, and keeps the report up to date."""

import contextlib
import time
from pathlib import Path

from hybridal_ray.comparison.comparison_file import Comparison
from hybridal_ray.comparison.report import Report, report_on
from hybridal_ray.comparison.results import progress_of
from hybridal_ray.comparison.schedule import Crew, InProcess, OnRay, run_jobs
from hybridal_ray.comparison.work import Job, PlannedRun, is_finished, plan_jobs, plan_runs
from hybridal_ray.config import Config
from hybridal_ray.loop import open_pool
from hybridal_ray.pool import storage
from hybridal_ray.run_stages import Say
from hybridal_ray.run_store import take_lock
from hybridal_ray.tracking.comparison_run import MemberRun, sync_comparison
from hybridal_ray.tracking.mlflow_sync import RunStatus
from hybridal_ray.tracking.provenance import write_provenance

SECONDS_BETWEEN_REPORTS = 60.0


def compare(comparison: Comparison, say: Say = print) -> Report:
    """Does what is left of a comparison; what is finished is not done again.

    A run that fails is named in the report and tried again by the next call; the others go on.

    Args:
        comparison: What to compare.
        say: Takes a line of progress.

    Returns:
        The report, which also lies in the directory of the comparison.

    Raises:
        UserError: A pool is missing, the cluster has no room for a run, the directory cannot be written, or another
            process works on the comparison.
    """
    if storage.is_uri(comparison.directory):
        return _compare(comparison, say)
    with take_lock(Path(comparison.directory), comparison.directory) or contextlib.nullcontext():
        return _compare(comparison, say)


def _compare(comparison: Comparison, say: Say) -> Report:
    runs = plan_runs(comparison)
    for config in {run.config.pool.path: run.config for run in runs}.values():
        open_pool(config, say)
    jobs = plan_jobs(comparison, runs)
    done = len(runs) - sum(job.run is not None for job in jobs)
    say(f"{comparison.name}: {len(runs)} runs, {done} of them finished, in {comparison.directory}")
    watch = _Watch(comparison, runs, say)
    watch.report("RUNNING")
    if jobs:
        run_jobs(jobs, _crew(comparison, runs[0].config), watch.ended)
    if watch.failures:
        return watch.report("FAILED")
    return watch.report("FINISHED" if all(is_finished(comparison.directory, run) for run in runs) else "RUNNING")


def compare_so_far(comparison: Comparison) -> Report:
    """Reports on a comparison as far as it is, and runs nothing.

    Raises:
        UserError: The report cannot be written.
    """
    return report_on(comparison, plan_runs(comparison), _read_failures(comparison))


class _Watch:
    """Hears of the end of each job: remembers failures, and renews the report now and then."""

    def __init__(self, comparison: Comparison, runs: list[PlannedRun], say: Say) -> None:
        self._comparison, self._runs, self._say = comparison, runs, say
        self._reported = -SECONDS_BETWEEN_REPORTS
        self.failures: dict[str, str] = {}
        tried = {run.name for run in runs}  # now; an arm that is left out this time has failed as before
        self._former = {name: why for name, why in _read_failures(comparison).items() if name not in tried}

    def ended(self, job: Job, error: str | None) -> None:
        self._former.pop(job.name, None)
        self._say(f"{job.name}: {self._outcome(job) if error is None else f'failed: {error}'}")
        if error is not None:
            self.failures[job.name] = error
            self._keep_failures()
        if job.run is not None and time.monotonic() - self._reported > SECONDS_BETWEEN_REPORTS:
            self.report("RUNNING")

    def _keep_failures(self) -> None:
        storage.write_json(_failures(self._comparison), {**self._former, **self.failures})

    def _outcome(self, job: Job) -> str:
        if job.run is None or is_finished(self._comparison.directory, job.run):
            return "done"
        return progress_of(job.run.root, job.run.config.rounds)

    def report(self, status: RunStatus) -> Report:
        self._keep_failures()
        report = report_on(self._comparison, self._runs, self.failures)
        error = _track(self._comparison, self._runs, report, status)
        if error is not None:
            self._say(f"tracking: {error}; nothing is lost, it is sent with the next report")
        self._reported = time.monotonic()
        return report


def _crew(comparison: Comparison, config: Config) -> Crew:
    if not comparison.ray:
        return InProcess()
    return OnRay(
        cpus=comparison.cpus_per_run,
        gpus=comparison.gpus_per_run,
        at_once=comparison.at_once,
        may_grow=config.cluster.may_grow,
    )


def _track(comparison: Comparison, runs: list[PlannedRun], report: Report, status: RunStatus) -> str | None:
    """Sends the comparison to MLflow as the configuration of its first run says.

    Returns:
        Why it could not be sent, None when it was, or when tracking is switched off.
    """
    config = runs[0].config
    uri = config.tracking_uri
    if uri is None:
        return None
    pool = open_pool(config, lambda line: None)
    write_provenance(comparison.directory, pool)
    return sync_comparison(
        comparison.directory,
        [MemberRun(run.root, run.arm, run.seed) for run in runs],
        tracking_uri=uri,
        experiment=comparison.name,
        artifact_root=config.locate("mlartifacts") if uri.startswith("sqlite:") else None,
        files=report.files,
        figures=report.answer.figures(),
        status=status,
    )


def _failures(comparison: Comparison) -> str:
    return storage.join(comparison.directory, "failures.json")


def _read_failures(comparison: Comparison) -> dict[str, str]:
    location = _failures(comparison)
    return dict(storage.read_json(location)) if storage.exists(location) else {}
