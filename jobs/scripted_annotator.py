"""An annotator by script, who knows the truth of a demo pool, and answers by Label Studio's API and on its page."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chromium import Chromium, wait_until
from label_studio_sdk import LabelStudio

from hybridal_ray.local_label_studio import LocalServer
from hybridal_ray.oracles.label_studio_project import BOXES, IMAGE, OTHER
from hybridal_ray.pool.tables import Pool
from hybridal_ray.requests.request import AskedFrame, Request

Box = tuple[float, float, float, float]
PICTURE = "document.querySelector('img[alt=image]')"
REGION = "[class*=outliner-item]"  # a line of the list of regions
DRAWN = f"document.querySelectorAll('{REGION}').length"


@dataclass(frozen=True)
class Task:
    """A task on the server, and what is true of it.

    Attributes:
        id: Of the server.
        frame: That is asked for.
        actors: What people do there, and where, in percent of the picture: x, y, width, height.
    """

    id: int
    frame: AskedFrame
    actors: tuple[tuple[str, Box], ...]


class ScriptedAnnotator:
    """Answers the tasks of one project.

    Args:
        server: Whose user answers.
        truth: A pool with the labels of all its frames.
    """

    def __init__(self, server: LocalServer, truth: Pool) -> None:
        self._server = server
        self._client = LabelStudio(base_url=server.url, api_key=server.token, timeout=60)
        self._classes = truth.classes
        self._boxes: dict[tuple[str, int], list[dict[str, Any]]] = {}
        for row in truth.tubes.to_pylist():
            self._boxes.setdefault((row["video_id"], row["frame"]), []).append(row)

    def open_tasks(self, project: int, request: Request) -> list[Task]:
        """The tasks of a request that nobody has answered."""
        frames = request.by_task()
        return [
            Task(task.id, frames[task.data["task"]], self._actors(frames[task.data["task"]], request))
            for task in self._client.tasks.list(project=project, fields="all", page_size=200)
            if task.data["task"] in frames and not task.total_annotations
        ]

    def answer_by_api(self, tasks: Iterable[Task]) -> None:
        """Answers with the truth."""
        for task in tasks:
            result = [
                {"type": "rectanglelabels", "from_name": BOXES, "to_name": IMAGE, "value": _value(name, box)}
                for name, box in task.actors
            ]
            if not result:
                choice = {"choices": ["no actor"]}
                result = [{"type": "choices", "from_name": OTHER, "to_name": IMAGE, "value": choice}]
            self._client.annotations.create(id=task.id, result=result, lead_time=3.0 + 8.0 * len(task.actors))

    def sign_in(self, page: Chromium) -> None:
        """Signs in on the server's page."""
        page.open(f"{self._server.url}/user/login/")
        page.wait_for("document.querySelector('input[name=password]') !== null")
        for name, value in (("email", self._server.user), ("password", self._server.password)):
            page.evaluate(f"document.querySelector('input[name={name}]').value = {value!r}")
        page.evaluate("void document.querySelector('form').submit()")
        page.wait_for("!location.href.includes('login') && document.readyState === 'complete'")

    def answer_on_page(self, page: Chromium, project: int, task: Task, picture: Path) -> None:
        """Answers with the truth in the task's own form: boxes that are proposed go, the true ones are drawn.

        Args:
            page: Signed in.
            project: Of the task.
            task: To answer.
            picture: Where the form is photographed, as it is found; beside it as ``…-drawn.png``, as it is sent.
        """
        page.open(f"{self._server.url}/projects/{project}/data?task={task.id}")
        page.wait_for(f"{PICTURE}?.complete && {PICTURE}.getBoundingClientRect().width > 50", 90)
        page.wait_for(
            "document.querySelector('video')?.readyState >= 2 && document.querySelector('[aria-label=Play]') !== null"
        )
        page.wait_for(f"{DRAWN} >= {len(task.frame.proposed or ())}")
        page.wait_for("new Promise(drawn => setTimeout(() => drawn(true), 1000))")
        page.screenshot(picture)
        self._clear(page)
        for name, box in task.actors:
            self._draw(page, name, box)
        if not task.actors:
            page.evaluate(
                "[...document.querySelectorAll('label, span')].find(x => x.innerText.startsWith('no actor')).click()"
            )
        page.screenshot(picture.with_name(f"{picture.stem}-drawn.png"))
        page.evaluate("document.querySelector('[aria-label=\"Submit current annotation\"]').click()")
        wait_until(lambda: self._client.tasks.get(id=str(task.id)).total_annotations, f"task {task.id} submitted", 60)

    def _draw(self, page: Chromium, name: str, box: Box) -> None:
        before = page.evaluate(DRAWN)
        where = "[...document.querySelectorAll('.lsf-label__text')].find(label => label.innerText === %r)"
        page.evaluate(f"{where % name}.click()")
        picture = page.evaluate(f"(r => [r.x, r.y, r.width, r.height])({PICTURE}.getBoundingClientRect())")
        x, y, width, height = (part * side / 100 for part, side in zip(box, picture[2:] * 2, strict=True))
        left, top = picture[0] + x, picture[1] + y
        page.drag(left, top, left + width, top + height)
        page.wait_for(f"{DRAWN} > {before}", 20)
        page.press("Escape")

    def _clear(self, page: Chromium) -> None:
        while count := page.evaluate(DRAWN):
            page.evaluate(f"document.querySelector('{REGION}').click()")
            page.press("Backspace")
            page.wait_for(f"{DRAWN} < {count}", 20)

    def _actors(self, frame: AskedFrame, request: Request) -> tuple[tuple[str, Box], ...]:
        video = request.videos[frame.video_id]
        across, down = 100 / video.width, 100 / video.height
        return tuple(
            (
                self._classes[row["class_id"]],
                (
                    row["x1"] * across,
                    row["y1"] * down,
                    (row["x2"] - row["x1"]) * across,
                    (row["y2"] - row["y1"]) * down,
                ),
            )
            for row in self._boxes.get((frame.video_id, frame.frame), [])
        )


def _value(name: str, box: Box) -> dict[str, Any]:
    return {**dict(zip(("x", "y", "width", "height"), box, strict=True)), "rotation": 0, "rectanglelabels": [name]}
