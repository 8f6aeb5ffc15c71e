"""A small CVAT on a real socket; its bodies are written after the models of CVAT's own SDK, which reads them."""

import io
import re
import zipfile
from email import message_from_bytes
from email.message import Message
from typing import Any

from misbehaving_server import TOKEN, Answer, Misbehaving

AT = "2026-01-02T12:00:00Z"
NOTHING = {"count": 0, "url": ""}
PAGE_SIZE = 2  # small, so that lists have pages


class MisbehavingCvat(Misbehaving):
    """CVAT.

    Attributes:
        projects: By id.
        guides: Markdown by id.
        tasks: By id, each with its ``images``, ``deleted`` and ``annotations``.
        requests: What it does in the background; images are taken in at the second look.
        uploads: How often images were sent to each task.
        people: Assignee of a job by its id, which is ten times that of its task.
    """

    authorization = f"Bearer {TOKEN}"

    def __init__(self) -> None:
        super().__init__()
        self.projects: dict[int, dict[str, Any]] = {}
        self.labels: list[dict[str, Any]] = []
        self.guides: dict[int, str] = {}
        self.tasks: dict[int, dict[str, Any]] = {}
        self.requests: list[dict[str, Any]] = []
        self.uploads: list[int] = []
        self.jobs: dict[int, dict[str, Any]] = {}
        self.spoilt = False
        self.organizations: set[str | None] = set()
        self.multiparts: dict[int, list[bytes]] = {}

    def answer(self, method: str, path: str, query: dict[str, list[str]], body: Any, headers: Message) -> Any:
        """What a server that behaves does."""
        self.organizations.add(headers.get("X-Organization"))
        parts = path.removeprefix("/api/").split("/")
        ask = getattr(self, f"{method.lower()}_{re.sub('[^a-z]+', '_', '_'.join(p for p in parts if not p.isdigit()))}")
        numbers = [int(part) for part in parts if part.isdigit()]
        if numbers and parts[0] in ("tasks", "jobs", "projects") and numbers[0] not in getattr(self, parts[0]):
            return Answer(404, {"detail": "Not found."})
        return ask(*numbers, query=query, body=body, headers=headers)

    def post_projects(self, *, body: Any, **_: Any) -> Answer:
        number = len(self.projects) + 1
        for label in body["labels"]:
            attributes = [{**each, "id": 900 + len(self.labels)} for each in label["attributes"]]
            self.labels.append({**label, "id": 100 + len(self.labels), "attributes": attributes, "project_id": number})
        self.projects[number] = {"id": number, "name": body["name"], "guide_id": None, "tasks": NOTHING,
                                 "labels": NOTHING, "url": "", "created_date": AT}  # fmt: skip
        return Answer(201, self.projects[number])

    def get_projects(self, number: int | None = None, *, query: Any, **_: Any) -> Any:
        if number is not None:
            return self.projects[number]
        return page([project for project in self.projects.values() if found(project, query)], query)

    def get_labels(self, *, query: Any, **_: Any) -> Any:
        return page([label for label in self.labels if label["project_id"] == int(query["project_id"][0])], query)

    def post_guides(self, *, body: Any, **_: Any) -> Answer:
        number = len(self.guides) + 1
        self.guides[number] = body["markdown"]
        self.projects[body["project_id"]]["guide_id"] = number
        return Answer(201, {"id": number, **body})

    def patch_guides(self, number: int, *, body: Any, **_: Any) -> Any:
        self.guides[number] = body["markdown"]
        return {"id": number, **body}

    def post_tasks(self, *, body: Any, **_: Any) -> Answer:
        number = len(self.tasks) + 1
        empty = {"version": 0, "tags": [], "shapes": [], "tracks": []}
        self.tasks[number] = {"name": body["name"], "project_id": body["project_id"], "images": [], "related": [],
                              "deleted": [], "annotations": empty}  # fmt: skip
        return Answer(201, self.task(number))

    def get_tasks(self, number: int | None = None, *, query: Any, **_: Any) -> Any:
        if number is not None:
            return self.task(number)
        project = int(query["project_id"][0])
        own = [self.task(each) for each, task in self.tasks.items() if task["project_id"] == project]
        return page([task for task in reversed(own) if found(task, query)], query)

    def patch_tasks(self, number: int, *, body: Any, **_: Any) -> Any:
        self.tasks[number]["name"] = body["name"]
        return self.task(number)

    def post_tasks_data(self, number: int, *, body: Any, headers: Message, **_: Any) -> Answer:
        """The three requests of an upload: start, files, finish."""
        if self.tasks[number]["images"]:
            return Answer(400, "Adding more data is not supported")
        if "Upload-Start" in headers:
            self.multiparts[number] = []
            return Answer(202)
        if "Upload-Multiple" in headers:
            whole = message_from_bytes(f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode() + body)
            self.multiparts[number] += [
                part.get_payload(decode=True) for part in whole.get_payload() if part.get_filename()
            ]
            return Answer(200)
        assert "Upload-Finish" in headers
        assert body["sorting_method"] == "lexicographical"
        self.uploads.append(number)
        rq = f"action=create&target=task&target_id={number}"
        self.requests.append({"id": rq, "task": number, "status": "queued"})
        return Answer(202, {"rq_id": rq})

    def get_requests(self, *, query: Any, **_: Any) -> Any:
        """A look at what goes on, which each time has come a step further."""
        told = []
        for request in self.requests:
            if request["task"] != int(query["task_id"][0]):
                continue
            operation = {"type": "create:task", "target": "task", "task_id": request["task"]}
            told.append({"id": request["id"], "status": request["status"], "operation": operation,
                         "message": "cannot identify image" if request["status"] == "failed" else "",
                         "created_date": f"2026-01-02T12:00:{len(told):02d}Z"})  # fmt: skip
            if request["status"] == "started":
                request["status"] = "failed" if self.spoilt else "finished"
                if not self.spoilt:
                    self.take_in(request["task"])
            elif request["status"] == "queued":
                request["status"] = "started"
        return page(told, query)

    def take_in(self, number: int) -> None:
        """What the server makes of an archive."""
        with zipfile.ZipFile(io.BytesIO(self.multiparts[number][0])) as archive:
            names = sorted(archive.namelist())
        self.tasks[number]["images"] = [name for name in names if not name.startswith("related_images/")]
        self.tasks[number]["related"] = [name for name in names if name.startswith("related_images/")]
        self.jobs[number * 10] = {
            "id": number * 10, "task_id": number, "stage": "annotation", "state": "new", "type": "annotation",
            "start_frame": 0, "stop_frame": len(self.tasks[number]["images"]) - 1, "assignee": None,
            "issues": NOTHING, "labels": NOTHING, "updated_date": AT, "created_date": AT,
        }  # fmt: skip

    def get_tasks_data_meta(self, number: int, **_: Any) -> Any:
        task = self.tasks[number]
        frames = [{"name": name, "related_files": 1, "width": 64, "height": 48} for name in task["images"]]
        return {"chunks_updated_date": AT, "frames": frames, "deleted_frames": task["deleted"], "size": len(frames)}

    def put_tasks_annotations(self, number: int, *, body: Any, **_: Any) -> Any:
        self.tasks[number]["annotations"] = {**body, "shapes": numbered(body["shapes"])}
        return self.tasks[number]["annotations"]

    def get_jobs(self, number: int | None = None, *, query: Any, **_: Any) -> Any:
        if number is not None:
            return self.jobs[number]
        return page([job for job in self.jobs.values() if job["task_id"] == int(query["task_id"][0])], query)

    def get_jobs_annotations(self, number: int, **_: Any) -> Any:
        return self.tasks[self.jobs[number]["task_id"]]["annotations"]

    def task(self, number: int) -> dict[str, Any]:
        """A task as it is told."""
        task = self.tasks[number]
        return {"id": number, "name": task["name"], "project_id": task["project_id"], "size": len(task["images"]),
                "jobs": {**NOTHING, "completed": 0, "validation": 0}, "labels": NOTHING, "mode": "annotation",
                "organization": None, "url": ""}  # fmt: skip


def page(rows: list[Any], query: dict[str, list[str]]) -> dict[str, Any]:
    """A page of a list."""
    number = int(query["page"][0])
    more = len(rows) > number * PAGE_SIZE
    shown = rows[(number - 1) * PAGE_SIZE : number * PAGE_SIZE]
    return {"count": len(rows), "next": "http://x/?page=next" if more else None, "previous": None, "results": shown}


def found(row: dict[str, Any], query: dict[str, list[str]]) -> bool:
    """Whether a search finds a row: each of its words is in the name."""
    return all(word in row["name"] for word in query["search"][0].split())


def numbered(shapes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shapes with ids of their own."""
    return [{**shape, "id": 500 + number} for number, shape in enumerate(shapes)]
