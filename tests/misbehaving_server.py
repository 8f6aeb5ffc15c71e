"""Small servers on a real socket that speak as much of a tool's API as is used, and misbehave as told."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

TOKEN = "c0ffee" * 6 + "beef"
Server = TypeVar("Server", bound="Misbehaving")


@dataclass(frozen=True)
class Answer:
    """An answer that is more than JSON with status 200."""

    status: int
    content: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Misbehaving:
    """What a server was asked, and how it takes the next requests; what it holds is its subclasses'.

    Attributes:
        authorization: The header that it lets in.
        asked: Method and path of each request.
        moods: For the next requests, one each: a status; ``(status, seconds)`` with a Retry-After; ``hang``, which
            answers later than anyone waits; ``done, then STATUS``, which does what is asked and says it failed;
            ``hang up``, which closes the connection; ``html``, which answers 200 with a page. None behaves.
    """

    authorization = ""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.moods: list[Any] = []
        self.hang_seconds = 1.5
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, headers: Message) -> Any:
        """What a server that behaves does: JSON, or an `Answer`."""
        raise NotImplementedError


class MisbehavingServer(Misbehaving):
    """Label Studio.

    Attributes:
        projects: By id.
        tasks: In the order of their import.
        folders: That it hands out.
    """

    authorization = f"Token {TOKEN}"

    def __init__(self) -> None:
        super().__init__()
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.folders: list[str] = []

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, headers: Message) -> Any:
        if int(query.get("page", ["1"])[0]) > 1:
            return Answer(404)  # how Label Studio ends a list
        if path == "/api/projects" and method == "GET":
            title = query["title"][0]
            return {"count": 1, "results": [p for p in self.projects.values() if title in p["title"]]}
        if path == "/api/projects":
            number = len(self.projects) + 1
            self.projects[number] = {**body, "id": number}
            return self.projects[number]
        if path == "/api/storages/localfiles":
            if method == "POST":
                self.folders.append(body["path"])
                return {"id": 1, **body}
            return [{"id": 1, "project": 1, "path": path} for path in self.folders]
        if path == "/api/tasks":
            return {"tasks": self.tasks, "total": len(self.tasks), "total_annotations": 0, "total_predictions": 0}
        if path == "/api/users":
            return [{"id": 7, "email": "anna@example.org", "username": "anna", "first_name": "", "last_name": ""}]
        match = re.fullmatch(r"/api/projects/(\d+)/import", path)
        assert match, path
        for task in body:
            self.tasks.append({**task, "id": len(self.tasks) + 1, "project": int(match[1]), "annotations": []})
        return {"task_count": len(body)}


@contextmanager
def misbehaving_server() -> Iterator[MisbehavingServer]:
    """Label Studio on 127.0.0.1 for the time of a block."""
    with serving(MisbehavingServer()) as state:
        yield state


@contextmanager
def serving(state: Server) -> Iterator[Server]:
    """A server on 127.0.0.1 for the time of a block."""

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            is_json = content and "json" in self.headers.get("Content-Type", "")
            parts = urlsplit(self.path)
            path = parts.path.rstrip("/")
            state.asked.append(f"{self.command} {path}")
            mood = state.moods.pop(0) if state.moods else None
            if mood == "hang":
                time.sleep(state.hang_seconds)
                return
            if mood == "hang up":
                return
            if mood == "html":
                return self.say(200, b"<html>Sign in to the hotel's network</html>", {"Content-Type": "text/html"})
            if self.headers.get("Authorization") != state.authorization:
                mood = 401
            done = isinstance(mood, str) and mood.startswith("done, then ")
            answer: Any = {}
            if mood is None or done:
                body = json.loads(content) if is_json else content
                answer = state.answer(self.command, path, parse_qs(parts.query), body, self.headers)
            if not isinstance(answer, Answer):
                answer = Answer(200, answer)
            status, headers = (int(mood.rpartition(" ")[2]) if done else mood or answer.status), answer.headers
            if isinstance(status, tuple):
                status, headers = status[0], {"Retry-After": str(status[1])}
            told = b"" if answer.content is None else json.dumps(answer.content).encode()
            return self.say(status, told, {"Content-Type": "application/json", **headers})

        do_GET = do_POST = do_PATCH = do_PUT = do_HEAD = handle_one  # noqa: N815

        def say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
