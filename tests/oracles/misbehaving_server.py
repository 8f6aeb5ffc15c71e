"""A small server on a real socket that speaks as much of Label Studio's API as is used, and misbehaves as told."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

TOKEN = "c0ffee" * 6 + "beef"


class MisbehavingServer:
    """What is on the server, what it was asked, and how it takes the next requests.

    Attributes:
        projects: By id.
        tasks: In the order of their import.
        asked: Method and path of each request.
        moods: For the next requests, one each: a status; ``(status, seconds)`` with a Retry-After; ``hang``, which
            answers later than anyone waits; ``done, then STATUS``, which does what is asked and says it failed;
            ``hang up``, which closes the connection; ``html``, which answers 200 with a page. None behaves.
    """

    def __init__(self) -> None:
        self.projects: dict[int, dict[str, Any]] = {}
        self.tasks: list[dict[str, Any]] = []
        self.folders: list[str] = []
        self.asked: list[str] = []
        self.moods: list[Any] = []
        self.hang_seconds = 1.5
        self.url = ""

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any) -> Any:
        """What a server that behaves does."""
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
    """A server on 127.0.0.1 for the time of a block."""
    state = MisbehavingServer()

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
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
            if self.headers.get("Authorization") != f"Token {TOKEN}":
                mood = 401
            done = isinstance(mood, str) and mood.startswith("done, then ")
            query = parse_qs(parts.query)
            if mood is None and int(query.get("page", ["1"])[0]) > 1:
                mood = 404  # how Label Studio ends a list
            content = state.answer(self.command, path, query, body) if mood is None or done else {}
            status, headers = (int(mood.rpartition(" ")[2]) if done else mood or 200), {}
            if isinstance(status, tuple):
                status, headers = status[0], {"Retry-After": str(status[1])}
            return self.say(status, json.dumps(content).encode(), {"Content-Type": "application/json", **headers})

        do_GET = do_POST = handle_one  # noqa: N815

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
