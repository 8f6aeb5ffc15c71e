"""A CVAT server as seen through its own SDK, with patience where it is down, slow, or asks for time.

The token comes from the environment and stays in this file's client: it is in no field, message or file.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, TypeVar

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.cvat_client import patient_client
from hybridal_ray.oracles.tool_server import ToolServer, Trouble, checked_url

TOKEN_VARIABLE = "CVAT_ACCESS_TOKEN"  # as CVAT's own command line calls it
PAGE = 100
QUALITY = 95  # of the JPEGs that annotators see, in percent
LOOK_SECONDS = 1.0  # between two looks whether images were taken in
UNPACK_SECONDS = 600.0  # that a server may take for it before the run waits without a machine

Result = TypeVar("Result")


@dataclass(frozen=True)
class SentTask:
    """A task as it is on the server.

    Attributes:
        id: Of the server's.
        name: As it is now.
        size: Number of its images; 0 until they were taken in.
    """

    id: int
    name: str
    size: int


@dataclass(frozen=True)
class Label:
    """A label of a project.

    Attributes:
        id: Of the server's.
        name: Class or other answer.
        attributes: Names of its attributes by their ids.
    """

    id: int
    name: str
    attributes: Mapping[int, str]


class CvatServer:
    """The few things that are asked of a server.

    Args:
        url: Of the server.
        timeout_seconds: For one answer of it.
        tries: How often a thing is asked for.
        organization: Short name of the organization to work in; None is the user's own space.

    Raises:
        UserError: The SDK is not installed, the token is not in the environment, or the address is none.
    """

    def __init__(self, url: str, *, timeout_seconds: float, tries: int, organization: str | None = None) -> None:
        self.url = checked_url(url, TOKEN_VARIABLE)
        self._server = ToolServer(self.url, "cvat", TOKEN_VARIABLE, tries)
        token = self._server.token()
        try:
            import urllib3
            from cvat_sdk.api_client import exceptions
            from cvat_sdk.core.exceptions import CvatSdkException
        except ImportError as error:
            raise UserError("oracle.name: cvat needs CVAT's SDK: pip install -c constraints.txt '.[cvat]'") from error
        self._refusal, self._breakdown = exceptions.ApiException, urllib3.exceptions.HTTPError
        self._failure, self._misshapen = CvatSdkException, exceptions.OpenApiException
        self._client = patient_client(self.url, token, timeout_seconds, organization)
        self._api = self._client.api_client

    def patiently(self, step: Callable[[], Result]) -> Result:
        """Does a step, again after a pause where the server fails. A step must bear to be done twice.

        Raises:
            ToolUnreachable: It failed as often as is tried.
            UserError: The server refuses for good.
        """
        return self._server.patiently(step, self._trouble)

    def project_of(self, mark: str) -> int | None:
        """The id of the project whose name holds a mark; the oldest, should there be two."""
        found = self._client.projects.list(search=mark, page_size=PAGE)
        return min((project.id for project in found if mark in project.name), default=None)

    def make_project(self, name: str, labels: Sequence[Mapping[str, Any]]) -> int:
        """Makes a project; returns its id."""
        return int(self._client.projects.create({"name": name, "labels": [dict(label) for label in labels]}).id)

    def write_guide(self, project: int, markdown: str) -> None:
        """Makes a text the guide that everybody sees who works on a project."""
        guide = self._client.projects.retrieve(project).guide_id
        if guide is None:
            self._api.guides_api.create(annotation_guide_write_request={"project_id": project, "markdown": markdown})
        else:
            self._api.guides_api.partial_update(guide, patched_annotation_guide_write_request={"markdown": markdown})

    def labels_of(self, project: int) -> list[Label]:
        """The labels of a project."""
        labels = self._pages(self._api.labels_api.list, project_id=project)
        return [
            Label(label.id, label.name, {attribute.id: attribute.name for attribute in label.attributes or ()})
            for label in labels
        ]

    def tasks_of(self, project: int, request: str) -> list[SentTask]:
        """The tasks of a project whose names hold the id of a request, the oldest first."""
        found = self._client.tasks.list(project_id=project, search=request, page_size=PAGE)
        tasks = [SentTask(task.id, task.name, task.size or 0) for task in found if request in task.name]
        return sorted(tasks, key=lambda task: task.id)

    def make_task(self, project: int, name: str) -> int:
        """Makes a task without images; returns its id."""
        return int(self._client.tasks.create({"name": name, "project_id": project, "segment_size": 0}).id)

    def upload(self, task: int, archive: Path) -> None:
        """Gives a task the images of an archive, in the order of their names, and waits until they are taken in.

        Images that another job has sent, and the server still takes in, are waited for instead of being sent again.
        """
        if self._state_of_images(task)[0] in (None, "failed"):
            params = {"image_quality": QUALITY, "sorting_method": "lexicographical"}
            self._client.tasks.retrieve(task).upload_data([archive], params=params, wait_for_completion=False)
        until = monotonic() + UNPACK_SECONDS
        while (told := self._state_of_images(task))[0] != "finished":
            if told[0] == "failed":
                raise Trouble(f"cannot take in the images of task {task}: {told[1]}")
            if monotonic() > until:
                raise Trouble(f"has not taken in the images of task {task} within {UNPACK_SECONDS:g} s")
            sleep(LOOK_SECONDS)

    def images_of(self, task: int) -> tuple[list[str], set[int]]:
        """The names of a task's images in their order, and the places of those that were deleted."""
        meta, _ = self._api.tasks_api.retrieve_data_meta(task)
        return [frame.name for frame in meta.frames], set(meta.deleted_frames or ())

    def set_shapes(self, task: int, shapes: Sequence[Mapping[str, Any]]) -> None:
        """Makes shapes all that is annotated in a task."""
        data = {"version": 0, "tags": [], "shapes": [dict(shape) for shape in shapes], "tracks": []}
        self._api.tasks_api.update_annotations(task, labeled_data_request=data)

    def rename(self, task: int, name: str) -> None:
        """Gives a task another name."""
        self._api.tasks_api.partial_update(task, patched_task_write_request={"name": name})

    def jobs_of(self, task: int) -> list[Any]:
        """The jobs of a task (the SDK's ``JobRead``)."""
        return self._pages(self._api.jobs_api.list, task_id=task)

    def annotations_of(self, job: int) -> Any:
        """What is annotated in a job (the SDK's ``LabeledData``)."""
        annotations, _ = self._api.jobs_api.retrieve_annotations(job)
        return annotations

    def _state_of_images(self, task: int) -> tuple[str | None, str]:
        """``finished``, ``failed``, ``queued`` or ``started``, None where none were sent; and the server's message."""
        made = self._pages(self._api.requests_api.list, task_id=task, action="create")
        if self._client.tasks.retrieve(task).size:  # asked last: no image can have come behind a request that is done
            return "finished", ""
        newest = max(made, key=lambda request: request.created_date, default=None)
        if newest is None:
            return None, ""
        state = value_of(newest.status)
        return ("failed" if state == "finished" else state), str(newest.message)

    def _pages(self, ask: Callable[..., Any], **query: Any) -> list[Any]:
        found: list[Any] = []
        page = 1
        while True:
            answer, _ = ask(page=page, page_size=PAGE, **query)
            found += answer.results
            if not answer.next:
                return found
            page += 1

    def _trouble(self, error: Exception) -> Trouble | None:
        """What an exception of the SDK means; see `ToolServer.patiently`."""
        if isinstance(error, Trouble):
            return error
        if isinstance(error, self._breakdown):
            return Trouble(f"{type(error).__name__}: {error}")
        if isinstance(error, self._refusal):
            if not error.status:
                return Trouble(str(error.reason))
            return self._server.refusal(error.status, error.body or error.reason, error.headers)
        if isinstance(error, self._failure):
            return Trouble(str(error))
        if isinstance(error, self._misshapen | ValueError | TypeError | AttributeError | AssertionError):
            raise UserError(
                f"{self.url}: does not answer as the CVAT does that the SDK is for ({type(error).__name__}); expected "
                "cvat-sdk and server of one version"
            ) from error
        return None


def value_of(told: Any) -> str:
    """What an enumeration of the SDK holds; the server may as well have told its bare value."""
    return str(getattr(told, "value", told))
