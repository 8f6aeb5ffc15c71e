"""A Label Studio server as seen through its own SDK, with patience where it is down, slow, or asks for time.

The token comes from the environment and stays in this file's client: it is in no field, message or file.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.tool_server import ToolServer, Trouble, checked_url, retry_after

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
PAGE = 200
ONCE = {"max_retries": 0}  # the SDK would post again what the server may have done already

Result = TypeVar("Result")


class LabelStudioServer:
    """The few things that are asked of a server.

    Args:
        url: Of the server.
        timeout_seconds: For one answer of it.
        tries: How often a thing is asked for.

    Raises:
        UserError: The SDK is not installed, the token is not in the environment, or the address is none.
    """

    def __init__(self, url: str, *, timeout_seconds: float, tries: int) -> None:
        self.url = checked_url(url, TOKEN_VARIABLE)
        self._server = ToolServer(self.url, "label-studio", TOKEN_VARIABLE, tries)
        token = self._server.token()
        try:
            import httpx
            from label_studio_sdk import LabelStudio
            from label_studio_sdk.core.api_error import ApiError
        except ImportError as error:
            raise UserError(
                "oracle.name: label-studio needs Label Studio's SDK: pip install -c constraints.txt '.[label-studio]'"
            ) from error
        self._refusal, self._breakdown = ApiError, httpx.TransportError
        # A redirect could carry the token to another host.
        self._client = LabelStudio(
            base_url=self.url, api_key=token, httpx_client=httpx.Client(timeout=timeout_seconds, follow_redirects=False)
        )

    def patiently(self, step: Callable[[], Result]) -> Result:
        """Does a step, again after a pause where the server fails. A step must bear to be done twice.

        Raises:
            ToolUnreachable: It failed as often as is tried.
            UserError: The server refuses for good.
        """
        return self._server.patiently(step, self._trouble)

    def project_of(self, mark: str, title: str) -> int | None:
        """The id of the project whose description begins with a mark; the oldest, should there be two.

        Args:
            mark: Of the project.
            title: A part of its title.
        """
        found = [
            project.id
            for project in self._client.projects.list(title=title, page_size=PAGE, request_options=ONCE)
            if (project.description or "").startswith(mark)
        ]
        return min(found, default=None)

    def make_project(self, **fields: Any) -> int:
        """Makes a project; returns its id."""
        return int(self._client.projects.create(**fields, request_options=ONCE).id)

    def tasks_of(self, project: int, request: str) -> list[dict[str, Any]]:
        """The tasks of a request in a project, each with ``id``, ``data`` and ``annotations``."""
        condition = {"filter": "filter:tasks:data.request", "operator": "equal", "type": "String", "value": request}
        query = json.dumps({"filters": {"conjunction": "and", "items": [condition]}})
        tasks = self._client.tasks.list(
            project=project, query=query, fields="all", page_size=PAGE, request_options=ONCE
        )
        return [
            {"id": task.id, "data": task.data, "annotations": list(task.annotations or ())}
            for task in tasks
            if task.data.get("request") == request
        ]

    def add_tasks(self, project: int, tasks: Sequence[Mapping[str, Any]]) -> None:
        """Adds tasks to a project."""
        self._client.projects.import_tasks(id=project, request=tasks, request_options=ONCE)

    def serve_folder(self, project: int, path: str) -> None:
        """Has the server hand out the files below a folder of its own to those who work on a project."""
        storages = self._client.import_storage.local
        known = [storage.path for storage in storages.list(project=project, request_options=ONCE)]
        if path.rstrip("/") not in [str(known_path).rstrip("/") for known_path in known]:
            storages.create(
                project=project, path=path, title="pictures of a request", use_blob_urls=True, request_options=ONCE
            )

    def people(self) -> dict[int, str]:
        """The users' e-mail addresses, by their ids."""
        return {user.id: user.email for user in self._client.users.list(request_options=ONCE)}

    def _trouble(self, error: Exception) -> Trouble | None:
        """What an exception of the SDK means; see `ToolServer.patiently`."""
        if isinstance(error, self._breakdown):
            return Trouble(f"{type(error).__name__}: {error}".rstrip(": "))
        if isinstance(error, self._refusal):
            if error.status_code is not None and error.status_code >= 300:
                return self._server.refusal(error.status_code, error.body, error.headers)
            told = "answers None" if error.status_code is None else "gives an answer that is no JSON"
            return Trouble(told, retry_after(error.headers))
        if isinstance(error, ValueError | TypeError | AttributeError):
            raise UserError(f"{self.url}: does not answer as Label Studio does: {type(error).__name__}") from error
        return None
