"""A Label Studio server as seen through its own SDK, with patience where it is down, slow, or asks for time.

The token comes from the environment and stays in this file's client: it is in no field, message or file.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from time import sleep
from typing import Any, TypeVar
from urllib.parse import urlsplit

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.interface import ToolUnreachable

TOKEN_VARIABLE = "LABEL_STUDIO_API_KEY"
FIRST_PAUSE = 1.0  # seconds, doubled with each further try
LONGEST_PAUSE = 60.0  # of what a server may ask for by Retry-After
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
        self.url = _checked(url)
        self._tries = tries
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise UserError(
                f"oracle.name: label-studio: the environment variable {TOKEN_VARIABLE} is not set; it holds the token "
                "of a user of the server (Account & Settings there), and is nowhere else"
            )
        try:
            import httpx
            from label_studio_sdk import LabelStudio
            from label_studio_sdk.core.api_error import ApiError
        except ImportError as error:
            raise UserError(
                "oracle.name: label-studio needs Label Studio's SDK: pip install 'hybridal-ray[label-studio]'"
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
        reason = ""
        for turn in range(self._tries):
            try:
                return step()
            except self._breakdown as error:
                reason, wait = f"{type(error).__name__}: {error}".rstrip(": "), 0.0
            except self._refusal as error:
                reason, wait = self._told(error), _retry_after(error.headers)
            except (ValueError, TypeError, AttributeError) as error:
                raise UserError(f"{self.url}: does not answer as Label Studio does: {type(error).__name__}") from error
            if turn + 1 < self._tries:
                sleep(min(max(FIRST_PAUSE * 2**turn, wait), LONGEST_PAUSE))
        raise ToolUnreachable(f"{self.url}: {reason}, {self._tries} times")

    def project_of(self, mark: str, title: str) -> int | None:
        """The id of the project whose description begins with a mark; the oldest, should there be two."""
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

    def _told(self, error: Any) -> str:
        """What a refusal is, unless it is for good."""
        status = error.status_code
        if status in (401, 403):
            raise UserError(
                f"{self.url}: refuses the token ({status}); expected in the environment variable {TOKEN_VARIABLE} a "
                "token of a user who may make projects there"
            ) from error
        if status is not None and 300 <= status < 500 and status not in (408, 409, 425, 429):
            raise UserError(f"{self.url}: {status}: {str(error.body)[:300]}") from error
        return f"answers {status}" if status is None or status >= 300 else "gives an answer that is no JSON"


def _checked(url: str) -> str:
    parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise UserError(f"oracle.options.url: found {url!r}, expected an address such as http://127.0.0.1:8080")
    if parts.username or parts.password:
        raise UserError(f"oracle.options.url: holds a name or a password; expected none, the token is {TOKEN_VARIABLE}")
    return url.rstrip("/")


def _retry_after(headers: Mapping[str, str] | None) -> float:
    """Seconds that the server asks for; a date, which it may give instead, is left to the pauses of our own."""
    told = next((value for name, value in (headers or {}).items() if name.lower() == "retry-after"), "")
    return float(told) if told.isascii() and told.isdigit() else 0.0
