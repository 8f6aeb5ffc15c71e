"""Requests that people answer in Label Studio: sent to the server, one project a run, and pulled from it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.deliveries import picture_sizes
from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.oracles.label_studio_answers import KIND, delivery_of_export
from hybridal_ray.oracles.label_studio_media import MEDIA, LocalMedia, Media, UriMedia
from hybridal_ray.oracles.label_studio_project import (
    INSTRUCTION,
    MODEL_VERSION,
    label_config,
    name_of,
    names_of,
    project_mark,
    project_title,
    short_identity,
    tasks_of,
)
from hybridal_ray.oracles.label_studio_server import LabelStudioServer
from hybridal_ray.oracles.tool_server import check_patience, gone, is_sent
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import Request

SENT = "label_studio.json"  # of a request; there once all its tasks are on the server
BATCH = 100  # tasks in one import
# Of an annotation; what else the server says of it, as how long ago that was, changes from pull to pull.
KEPT = ("id", "result", "was_cancelled", "created_at", "updated_at", "lead_time")


class LabelStudioOracle:
    """Asks in Label Studio; answers come with ``hybridal labels pull``, and whenever the run is started again.

    Args:
        url: Of the server.
        media: How the server's pages find the pictures: ``local``, it reads the run directory itself; ``uri``, they
            have addresses.
        document_root: With ``local``: see `LocalMedia`.
        server_root: With ``local``: see `LocalMedia`.
        prefix: With ``uri``: see `UriMedia`.
        root: With ``uri``: see `UriMedia`.
        timeout_seconds: For one answer of the server.
        tries: How often a thing is asked for before the run waits.

    Raises:
        UserError: The SDK or the token is missing, or an argument is none that can be.
    """

    def __init__(
        self,
        url: str,
        media: Media = "local",
        document_root: str | None = None,
        server_root: str | None = None,
        prefix: str | None = None,
        root: str | None = None,
        timeout_seconds: float = 30.0,
        tries: int = 5,
    ) -> None:
        if media not in MEDIA:
            raise UserError(f"oracle.options.media: found {media!r}, expected one of {', '.join(MEDIA)}")
        if media == "local" and document_root is None:
            raise UserError(
                "oracle.options.document_root: is missing; expected the folder that the server serves files from "
                "(its LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT), with the run below it"
            )
        check_patience(tries, timeout_seconds)
        self._media = LocalMedia(str(document_root), server_root) if media == "local" else UriMedia(prefix, root)
        self._server = LabelStudioServer(url, timeout_seconds=timeout_seconds, tries=tries)

    def send(self, request: Request) -> str:
        """See `WaitingOracle.send`; a task is known again by its name, so that none is there twice."""
        note = storage.join(request.directory, SENT)
        if not is_sent(request, SENT, self._server.url):
            address = self._media.address(request)
            tasks = tasks_of(request, address)
            project = self._server.patiently(lambda: self._project(request))
            if isinstance(self._media, LocalMedia):
                folder = self._media.server_folder(request)
                self._server.patiently(lambda: self._server.serve_folder(project, folder))
            self._server.patiently(lambda: self._complete(project, request, tasks))
            storage.write_json(note, {"url": self._server.url, "project": project, "tasks": len(tasks)})
        sent = storage.read_json(note)
        return (
            f"its {sent['tasks']} tasks are in Label Studio, {sent['url']}/projects/{sent['project']}/data; "
            f"`hybridal labels pull {request.run}` brings their answers, as does starting the run again"
        )

    def fetch(self, request: Request) -> Delivery:
        """See `WaitingOracle.fetch`; a request that was not sent yet has no answers, one that is gone is told."""
        url = self._server.url
        project = self._server.patiently(lambda: self._known(request))
        sent = is_sent(request, SENT, url)
        if project is None:
            return Delivery(url, KIND, [], [gone(request, SENT, url, "project")] if sent else [])
        source = f"{url}/projects/{project}"
        tasks = self._server.patiently(lambda: self._server.tasks_of(project, request.request))
        people = self._server.patiently(self._server.people)
        delivery = delivery_of_tasks(tasks, people, request, source)
        there = {name_of(task) for task in tasks if "task" in task["data"]}
        missing = [gone(request, SENT, source, "task", name) for name in names_of(request) if name not in there]
        return replace(delivery, unreadable=[*delivery.unreadable, *(missing if sent else [])])

    def _project(self, request: Request) -> int:
        """The project of the run, made where there is none."""
        there = self._known(request)
        if there is not None:
            return there
        return self._server.make_project(
            title=project_title(request),
            description=f"{project_mark(request)}: {request.run}",
            label_config=label_config(request.classes),
            expert_instruction=INSTRUCTION,
            show_instruction=True,
            show_collab_predictions=True,
            model_version=MODEL_VERSION,
            maximum_annotations=1,  # of a task; who is wanted beside has a task of their own
        )

    def _known(self, request: Request) -> int | None:
        """The project of the run; a run directory that is called otherwise by now still has the one it had."""
        return self._server.project_of(project_mark(request), short_identity(request))

    def _complete(self, project: int, request: Request, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Adds the tasks that are not there.

        An import that seemed to fail may have been done all the same: what is there is asked anew each time.
        """
        there = {name_of(task) for task in self._server.tasks_of(project, request.request)}
        missing = [task for task in tasks if name_of(task) not in there]
        for start in range(0, len(missing), BATCH):
            self._server.add_tasks(project, missing[start : start + BATCH])


def delivery_of_tasks(
    tasks: Sequence[Mapping[str, Any]], people: Mapping[int, str], request: Request, source: str
) -> Delivery:
    """The answers in tasks as the server keeps them.

    Args:
        tasks: ``id``, ``data`` and ``annotations`` of each.
        people: The users' e-mail addresses by their ids, which annotations name.
        request: That the tasks are of.
        source: Where they come from, for messages.
    """
    if not tasks:
        return Delivery(source, KIND, [])
    kept = [
        {**task, "annotations": [_kept(annotation, people) for annotation in task["annotations"]]} for task in tasks
    ]
    return delivery_of_export(kept, source, picture_sizes([request]))


def _kept(annotation: Mapping[str, Any], people: Mapping[int, str]) -> dict[str, Any]:
    """Of an annotation what stays the same from pull to pull, with the annotator's address."""
    who: Any = annotation.get("completed_by")
    return {name: annotation.get(name) for name in KEPT} | {"completed_by": people.get(who, who)}
