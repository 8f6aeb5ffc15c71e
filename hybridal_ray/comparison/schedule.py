"""Who does the jobs of a comparison: Ray tasks, or this process; the first job in order that can begin is begun.

The one file of the comparison that knows Ray.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from hybridal_ray import cluster
from hybridal_ray.comparison.work import Job, attempt

TASK_RETRIES = 1  # of a job whose worker was lost

Ended = Callable[[Job, str | None], None]


class Crew(Protocol):
    """Does jobs."""

    def has_room(self) -> bool:
        """Whether another job could begin now."""
        ...

    def begin(self, job: Job) -> None:
        """Begins a job."""
        ...

    def await_one(self) -> tuple[Job, str | None]:
        """Waits for the end of any job that has begun; also gives why it failed, None where it did not."""
        ...

    def stop(self) -> None:
        """Ends what still runs."""
        ...


def run_jobs(jobs: Sequence[Job], crew: Crew, ended: Ended) -> None:
    """Does jobs in order, as many at a time as there is room for.

    Args:
        jobs: Each needs only jobs that stand before it.
        crew: Does them.
        ended: Hears of the end of each; a job that needs one that failed fails with it, and is not begun.
    """
    left, errors, running = list(jobs), dict[str, str | None](), 0
    try:
        while left or running:
            job = next((job for job in left if all(need in errors for need in job.needs)), None)
            failed = [] if job is None else [need for need in job.needs if errors[need] is not None]
            if job is not None and (failed or crew.has_room()):
                left.remove(job)
                if not failed:
                    crew.begin(job)
                    running += 1
                    continue
                error: str | None = f"{failed[0]} failed: {errors[failed[0]]}"
            else:
                job, error = crew.await_one()
                running -= 1
            errors[job.name] = error
            ended(job, error)
    finally:
        crew.stop()


class InProcess:
    """Does one job at a time, here."""

    def __init__(self) -> None:
        self._begun: list[Job] = []

    def has_room(self) -> bool:
        """See `Crew`."""
        return not self._begun

    def begin(self, job: Job) -> None:
        """See `Crew`."""
        self._begun.append(job)

    def await_one(self) -> tuple[Job, str | None]:
        """See `Crew`."""
        job = self._begun.pop()
        return job, attempt(job)

    def stop(self) -> None:
        """See `Crew`; nothing runs between two jobs."""


class OnRay:
    """Does each job as a Ray task.

    Args:
        cpus: Reserved for each task.
        gpus: Reserved for each task; a fraction lets tasks share one.
        at_once: Tasks at a time, None for as many as there is room for.
        may_grow: An autoscaler adds nodes: as many tasks as work wait, so that it does.

    Raises:
        UserError: The cluster cannot be reached, or has no room for a single task.
    """

    def __init__(self, *, cpus: float, gpus: float, at_once: int | None, may_grow: bool) -> None:
        self._cpus, self._gpus, self._at_once, self._may_grow = cpus, gpus, at_once, may_grow
        self._running: dict[Any, Job] = {}
        cluster.connect()
        if not may_grow:
            cluster.check_room({"cpus_per_run": (1, cpus, gpus)})

    def has_room(self) -> bool:
        """See `Crew`."""
        if self._at_once is not None:
            return len(self._running) < self._at_once
        room = max(cluster.room_for(self._cpus, self._gpus), 1)
        return len(self._running) < (2 * room if self._may_grow else room)

    def begin(self, job: Job) -> None:
        """See `Crew`."""
        import ray

        # A GPU is asked for explicitly; without one a task sees none. Where runs are tracked, and by whose leave, is
        # told to this process alone.
        tracking = {name: value for name, value in os.environ.items() if name.startswith("MLFLOW_")}
        task = ray.remote(attempt).options(
            name=job.name,
            num_cpus=self._cpus,
            num_gpus=self._gpus,
            max_retries=TASK_RETRIES,
            runtime_env={"env_vars": tracking},
        )
        self._running[task.remote(job)] = job

    def await_one(self) -> tuple[Job, str | None]:
        """See `Crew`."""
        import ray

        ready, _ = ray.wait(list(self._running), num_returns=1)
        job = self._running.pop(ready[0])
        try:
            return job, ray.get(ready[0])
        except ray.exceptions.RayError as error:
            return job, f"its worker was lost {TASK_RETRIES + 1} times: {' '.join(str(error).split())}"

    def stop(self) -> None:
        """See `Crew`."""
        import ray

        for reference in self._running:
            ray.cancel(reference, force=True)
