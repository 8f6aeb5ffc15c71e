"""Requests that people answer in CVAT: sent to the server, one project a run, and pulled from it."""

import tempfile
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cvat_files import check_classes, cvat_labels
from hybridal_ray.oracles.cvat_jobs import STAGES, Seen, answers_of_job, as_first_seen, is_done
from hybridal_ray.oracles.cvat_server import CvatServer, Label, SentTask, value_of
from hybridal_ray.oracles.cvat_tasks import (
    UNFINISHED,
    PlannedTask,
    guide_of,
    image_archive,
    planned_tasks,
    project_mark,
    project_name,
    shapes_of,
    task_of_image,
)
from hybridal_ray.oracles.cvat_tracks import KIND
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.oracles.tool_server import check_patience, gone, is_sent
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import Request

SENT = "cvat.json"  # of a request; there once all its tasks are whole on the server
SEEN = "cvat_seen.json"  # of a request; see `as_first_seen`


class CvatOracle:
    """Asks in CVAT; answers come with ``hybridal labels pull``, and whenever the run is started again.

    Args:
        url: Of the server.
        organization: Short name of the organization to work in; None is the user's own space.
        stage: That a job must have passed for its answers to be taken: ``annotation``, or ``validation`` or
            ``acceptance`` where somebody reviews.
        timeout_seconds: For one answer of the server.
        tries: How often a thing is asked for before the run waits.

    Raises:
        UserError: The SDK or the token is missing, or an argument is none that can be.
    """

    def __init__(
        self,
        url: str,
        organization: str | None = None,
        stage: str = "annotation",
        timeout_seconds: float = 30.0,
        tries: int = 5,
    ) -> None:
        if stage not in STAGES:
            raise UserError(f"oracle.options.stage: found {stage!r}, expected one of {', '.join(STAGES)}")
        check_patience(tries, timeout_seconds)
        self._stage = stage
        self._server = CvatServer(url, timeout_seconds=timeout_seconds, tries=tries, organization=organization)

    def send(self, request: Request) -> str:
        """See `WaitingOracle.send`; a task is known again by its name, so that none is there twice.

        A task is made, given its images, then the proposed boxes, and then its name without the words that it is
        being sent: whatever a job that died has left is gone on with.

        Raises:
            UserError: A class of the pool has the name of an answer.
        """
        check_classes(request)
        note = storage.join(request.directory, SENT)
        if not is_sent(request, SENT, self._server.url):
            planned = planned_tasks(request)
            project = self._server.patiently(lambda: self._project(request))
            for task in planned:
                self._send(task, project, request)
            self._server.patiently(lambda: self._server.write_guide(project, guide_of(request)))
            storage.write_json(note, {"url": self._server.url, "project": project, "tasks": len(planned)})
        sent = storage.read_json(note)
        return (
            f"its {sent['tasks']} tasks are in CVAT, {sent['url']}/projects/{sent['project']}; clips are in "
            f"{storage.join(request.directory, 'clips')}; once a job is completed, "
            f"`hybridal labels pull {request.run}` brings its answers, as does starting the run again"
        )

    def fetch(self, request: Request) -> Delivery:
        """See `WaitingOracle.fetch`; a request that was not sent yet has no answers, one that is gone is told."""
        server, mark = self._server, project_mark(request)
        project = server.patiently(lambda: server.project_of(mark))
        sent = is_sent(request, SENT, server.url)
        if project is None:
            return Delivery(server.url, KIND, [], [gone(request, SENT, server.url, "project")] if sent else [])
        source = f"{server.url}/projects/{project}"
        labels = server.patiently(lambda: server.labels_of(project))
        there = server.patiently(lambda: server.tasks_of(project, request.request))
        note = storage.join(request.directory, SEEN)
        before: Seen = storage.read_json(note) if storage.exists(note) else {}
        seen = dict(before)
        parts: list[Delivery] = []
        for planned in planned_tasks(request):
            task = _known(planned, there)
            if task is not None and not task.name.startswith(UNFINISHED):
                parts.append(server.patiently(partial(self._answers, task, labels, seen)))
            elif task is None and sent:
                parts.append(Delivery(source, KIND, [], [gone(request, SENT, source, "task", planned.key)]))
        if seen != before:
            storage.write_json(note, seen)
        return _together(source, parts)

    def _project(self, request: Request) -> int:
        """The project of the run, made where there is none."""
        there = self._server.project_of(project_mark(request))
        return self._server.make_project(project_name(request), cvat_labels(request)) if there is None else there

    def _send(self, planned: PlannedTask, project: int, request: Request) -> None:
        """Brings a task as far as it is not; each step asks first what is there."""
        server = self._server
        task = server.patiently(lambda: self._task(planned, project, request))
        if not task.name.startswith(UNFINISHED):
            return
        if not task.size:
            with tempfile.TemporaryDirectory() as folder:
                archive = Path(folder) / f"{planned.key}.zip"
                archive.write_bytes(image_archive(planned, request))
                server.patiently(lambda: server.upload(task.id, archive))
        server.patiently(lambda: self._propose(planned, task.id, project))
        server.patiently(lambda: server.rename(task.id, planned.name))

    def _task(self, planned: PlannedTask, project: int, request: Request) -> SentTask:
        """A task as it is on the server, made where there is none."""
        there = _known(planned, self._server.tasks_of(project, request.request))
        if there is not None:
            return there
        name = UNFINISHED + planned.name
        return SentTask(self._server.make_task(project, name), name, 0)

    def _propose(self, planned: PlannedTask, task: int, project: int) -> None:
        """Draws the proposed boxes into a task, in the place of all that is there."""
        labels = self._server.labels_of(project)
        missing = {box.class_name for frame in planned.frames for box in frame.proposed or ()}
        if missing := missing - {label.name for label in labels}:
            raise UserError(
                f"{self._server.url}/projects/{project}: labels: {sorted(missing)} are gone; expected all classes"
            )
        names, _ = self._server.images_of(task)
        shapes = shapes_of(
            planned,
            {task_of_image(name): place for place, name in enumerate(names)},
            {label.name: label.id for label in labels},
            _actor_attributes(labels),
        )
        self._server.set_shapes(task, shapes)

    def _answers(self, task: SentTask, labels: Sequence[Label], seen: Seen) -> Delivery:
        """The answers in a task; the images of a job that is not done are open."""
        names, deleted = self._server.images_of(task.id)
        source = f"{self._server.url}/tasks/{task.id}"
        records: list[AnswerRecord] = []
        unreadable: list[Rejected] = []
        remarks: list[str] = []
        for job in self._server.jobs_of(task.id):
            if value_of(job.type) != "annotation":
                continue  # replicas are merged into it; the ground truth of CVAT's own checks is nobody's answer
            if value_of(job.state) == "rejected":
                remarks.append(
                    f"{source}: job {job.id}: is rejected; what was taken of it before stands, and nothing more is "
                    "taken until it is completed again"
                )
            if not is_done(job, self._stage):
                places = range(job.start_frame, job.stop_frame + 1)
                asked = {"answer": None}
                records += [
                    AnswerRecord(f"job {job.id}, image {place}", {"task": task_of_image(names[place]), **asked})
                    for place in places
                ]
                continue
            annotations = self._server.annotations_of(job.id)
            taken, refused = answers_of_job(job, annotations, names, deleted, labels, source)
            records += as_first_seen(taken, job, seen)
            unreadable += refused
        return Delivery(source, KIND, records, unreadable, remarks)


def _together(source: str, parts: Sequence[Delivery]) -> Delivery:
    """Deliveries as one."""
    return Delivery(
        source,
        KIND,
        [record for part in parts for record in part.records],
        [refused for part in parts for refused in part.unreadable],
        [line for part in parts for line in part.remarks],
    )


def _known(planned: PlannedTask, there: Sequence[SentTask]) -> SentTask | None:
    """The task of a plan among those on the server; the oldest, should there be two."""
    return next((task for task in there if f"[{planned.key}]" in task.name), None)


def _actor_attributes(labels: Sequence[Label]) -> Mapping[str, int]:
    """The ids of the attribute ``actor`` by the names of the labels."""
    return {label.name: id_ for label in labels for id_, name in label.attributes.items() if name == "actor"}
