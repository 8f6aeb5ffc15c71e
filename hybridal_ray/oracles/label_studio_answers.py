"""Answers out of Label Studio: its JSON export of image tasks with rectangles and a choice.

A task says in its data which of ours it is (``task``). Each of its annotations is an answer: rectangles are the
actors, and the choices ``no actor`` and ``cannot tell`` the other answers. An annotation that was skipped
(``was_cancelled``) is an answer that it cannot be told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.checking import ACTORS, MOST_SECONDS, NO_ACTOR, is_number
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.pool.ledger import CANNOT_TELL

KIND = "label-studio"
RECTANGLE = "rectanglelabels"
FORMS = ("choices", "textarea", "rating", "number", "datetime", "taxonomy")  # of a region they tell its place again
PLACES = frozenset({"x", "points", "vertices", "rle", "sequence"})  # of which a shape of any type has one


def is_label_studio(tree: Any) -> bool:
    """Whether a parsed JSON file is an export of Label Studio."""
    tasks = tree if isinstance(tree, list) else [tree]
    return bool(tasks) and any(isinstance(task, Mapping) and "annotations" in task and "data" in task for task in tasks)


def delivery_of_export(tree: Any, source: str, sizes: Mapping[str, tuple[int, int]]) -> Delivery:
    """The answers in an export, tasks without an annotation being open.

    Args:
        tree: The parsed JSON: a task, or a list of tasks.
        source: The file or the server, for messages.
        sizes: Width and height in pixels of the picture of each task of the run, by its name.

    Raises:
        UserError: It is no list of tasks.
    """
    tasks = tree if isinstance(tree, list) else [tree]
    if not tasks:
        raise UserError(f"{source}: expected tasks of Label Studio, found none")
    records: list[AnswerRecord] = []
    unreadable: list[Rejected] = []
    remarks: list[str] = []
    for number, task in enumerate(tasks):
        record = f"task {task.get('id', number) if isinstance(task, Mapping) else number}"
        try:
            name = task["data"]["task"]
            annotations = task["annotations"]
            if not annotations:
                records.append(AnswerRecord(record, {"task": name, "answer": None}))
            for annotation in annotations:
                told = f"{record}, annotation {annotation.get('id', '?')}"
                if (wrong := _wrong(annotation)) is not None:
                    unreadable.append(Rejected(source, told, *wrong, content={"task": name, **annotation}))
                    continue
                records.append(AnswerRecord(told, _fields(annotation, name, sizes)))
                if _is_unlikely(seconds := annotation.get("lead_time")):
                    expected = f"expected 0 to {MOST_SECONDS:.0f} seconds; the answer is taken without its time"
                    remarks.append(f"{source}: {told}: lead_time: found {seconds!r}, {expected}")
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            expected = "a task of Label Studio with data.task and annotations"
            unreadable.append(
                Rejected(source, record, "task", f"{type(error).__name__}: {error}", expected, content=task)
            )
    return Delivery(source, KIND, records, unreadable, remarks, counts_on=True)


def _wrong(annotation: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """What is drawn that makes an annotation none that can be taken: field, found, expected."""
    if annotation.get("was_cancelled"):
        return None
    for result in _results(annotation):
        kind, value = result.get("type"), result.get("value")
        if not isinstance(value, Mapping):
            continue
        if kind != RECTANGLE and kind not in FORMS and value.keys() & PLACES:
            return "type", repr(kind), f"shapes of the type {RECTANGLE!r} only"
        if kind == RECTANGLE and value.get("rotation"):
            return "rotation", f"{value['rotation']}°", "a rectangle that is not turned"
    return None


def _fields(annotation: Mapping[str, Any], task: Any, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
    results = _results(annotation)
    width, height = sizes.get(task, (0, 0)) if isinstance(task, str) else (0, 0)
    boxes = [_box(result, width, height) for result in results if result.get("type") == RECTANGLE]
    choices = [choice for result in results if result.get("type") == "choices" for choice in result["value"]["choices"]]
    if annotation.get("was_cancelled"):
        answer, boxes = CANNOT_TELL, []
    elif choices:
        answer = choices[0] if len(choices) == 1 else " and ".join(map(str, choices))
        boxes = [] if answer == CANNOT_TELL else boxes
    else:
        answer = ACTORS if boxes else NO_ACTOR
    seconds = annotation.get("lead_time")
    return {
        "task": task,
        "answer": answer,
        "boxes": boxes,
        "seconds": None if _is_unlikely(seconds) else seconds,
        "annotator": _who(annotation.get("completed_by")),
        "answered_at": annotation.get("updated_at") or annotation.get("created_at"),
    }


def _results(annotation: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return [result for result in annotation["result"] if isinstance(result, Mapping)]


def _is_unlikely(lead_time: Any) -> bool:
    """Whether nobody can have worked as long; nothing that the annotator could mend.

    A page that is left open over a weekend counts its hours, and one whose clock is put right may count below 0.
    """
    return is_number(lead_time) and not 0 <= lead_time <= MOST_SECONDS


def _box(result: Mapping[str, Any], width: int, height: int) -> dict[str, Any]:
    """A rectangle in percent as a box in pixels; what is no number stays as it is, to be told."""
    value = result["value"]
    labels = value.get(RECTANGLE) or [None]
    box: dict[str, Any] = {"class": labels[0] if len(labels) == 1 else " and ".join(map(str, labels))}
    parts = [value.get(part) for part in ("x", "y", "width", "height")]
    actor = (result.get("meta") or {}).get("actor")
    if actor:
        box["actor"] = actor
    try:
        across, down = width / 100, height / 100
        x, y, w, h = (float(part) * scale for part, scale in zip(parts, (across, down, across, down), strict=True))
        (x1, x2), (y1, y2) = sorted((x, x + w)), sorted((y, y + h))
        return box | {"x1": x1, "y1": y1, "x2": x2, "y2": y2}
    except (TypeError, ValueError):
        return box | dict(zip(("x1", "y1", "x2", "y2"), parts, strict=True))


def _who(completed_by: Any) -> str | None:
    if isinstance(completed_by, Mapping):
        completed_by = completed_by.get("email") or completed_by.get("username") or completed_by.get("id")
    return None if completed_by is None else str(completed_by)
