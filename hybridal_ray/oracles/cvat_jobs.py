"""Answers out of jobs of CVAT as its API tells them: rectangles are the actors, tags are the other answers.

A job of which somebody has said that it is done answers all its images, also those without anything and those that
are as they were sent.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence, Set
from typing import Any

from hybridal_ray.oracles.checking import ACTORS, NO_ACTOR
from hybridal_ray.oracles.cvat_server import Label, value_of
from hybridal_ray.oracles.cvat_tasks import task_of_image
from hybridal_ray.oracles.interface import AnswerRecord, Rejected
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.ledger import CANNOT_TELL

STAGES = ("annotation", "validation", "acceptance")
EDGES = ("x1", "y1", "x2", "y2")

Seen = dict[str, dict[str, Any]]


def is_done(job: Any, stage: str) -> bool:
    """Whether a job has passed a stage: it is completed there, or further on and not rejected.

    Setting a job to its next stage sets its state to ``new`` again, so that the state alone does not tell.

    Args:
        job: The SDK's ``JobRead``.
        stage: One of `STAGES`.
    """
    at, state = value_of(job.stage), value_of(job.state)
    if at == stage:
        return state == "completed"
    return STAGES.index(at) > STAGES.index(stage) and state != "rejected"


def answers_of_job(
    job: Any, annotations: Any, names: Sequence[str], deleted: set[int], labels: Sequence[Label], source: str
) -> tuple[list[AnswerRecord], list[Rejected]]:
    """The answers of a job that is done, and what cannot be read of it.

    Args:
        job: The SDK's ``JobRead``.
        annotations: Of it, the SDK's ``LabeledData``.
        names: Of the images of its task.
        deleted: The places of those that somebody has deleted.
        labels: Of its project.
        source: For messages.
    """
    known = {label.id: label for label in labels}
    shapes, tags = _by_frame(annotations.shapes), _by_frame(annotations.tags)
    records, unreadable = [], []
    for place in range(job.start_frame, job.stop_frame + 1):
        record, task = f"job {job.id}, image {place}", task_of_image(names[place])
        wrong = _wrong(place, shapes.get(place, []), annotations.tracks or (), deleted)
        if wrong is not None:
            unreadable.append(Rejected(source, record, *wrong, content={"task": task, "job": job.id}))
            continue
        boxes = [_box(shape, known) for shape in shapes.get(place, [])]
        told = [_name(tag.label_id, known) for tag in tags.get(place, [])]
        answer = " and ".join(told) if told else ACTORS if boxes else NO_ACTOR
        fields = {"task": task, "answer": answer, "boxes": [] if answer == CANNOT_TELL else boxes}
        records.append(AnswerRecord(record, {**fields, "answered_at": _when(job)}))
    return records, unreadable


def as_first_seen(records: Sequence[AnswerRecord], job: Any, seen: Seen) -> list[AnswerRecord]:
    """The answers with who as when the job was first seen, and when as when each of them was.

    CVAT tells when a job was last touched, and who has it now. A reviewer who takes a job over, or sets its stage,
    gives no new answers by that; what a reviewer changes is a correction of that job's answers, and no other
    person's opinion.

    Args:
        records: Of a job.
        job: The SDK's ``JobRead``.
        seen: Who gave which answer when, by job and task; what is new is added to it.
    """
    who = _opinion_of(job, {record.fields["task"] for record in records}, seen)
    kept = []
    for record in records:
        answer = {name: record.fields[name] for name in ("answer", "boxes")}
        digest = hashlib.blake2b(json.dumps(answer, sort_keys=True).encode(), digest_size=8).hexdigest()
        key = f"{job.id} {record.fields['task']}"
        if seen.get(key, {}).get("digest") != digest:
            seen[key] = {"digest": digest, "annotator": who, "answered_at": record.fields["answered_at"]}
        told = {"annotator": who, "answered_at": seen[key]["answered_at"]}
        kept.append(AnswerRecord(record.record, {**record.fields, **told}))
    return kept


def _opinion_of(job: Any, tasks: Set[str], seen: Seen) -> str:
    """By whose name the answers of a job go.

    Behind the stage of annotation the assignee is whoever reviews, of both jobs of a frame perhaps, which are two
    opinions all the same. At that stage, one who has both has answered twice, which is to be noticed.
    """
    for key, told in seen.items():
        if key.startswith(f"{job.id} "):
            return str(told["annotator"])
    who = _who(job)
    others = {told["annotator"] for key, told in seen.items() if key.partition(" ")[2] in tasks}
    return f"{who} (job {job.id})" if who in others and value_of(job.stage) != STAGES[0] else who


def _by_frame(annotated: Sequence[Any] | None) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = {}
    for each in annotated or ():
        found.setdefault(each.frame, []).append(each)
    return found


def _wrong(place: int, shapes: Sequence[Any], tracks: Sequence[Any], deleted: set[int]) -> tuple[str, str, str] | None:
    """What makes an image none that can be taken: field, found, expected."""
    if place in deleted:
        return "frame", "a deleted image", f"an image; restore it, and tag it '{CANNOT_TELL}' where it cannot be told"
    others = [value_of(shape.type) for shape in shapes if value_of(shape.type) != "rectangle"]
    if others:
        return others[0], f"a {others[0]}", "rectangles and tags only"
    if any(track.frame <= place for track in tracks):
        return "track", "a track", "rectangles and tags only; the images of a task are no film"
    return None


def _box(shape: Any, labels: Mapping[int, Label]) -> dict[str, Any]:
    box: dict[str, Any] = {"class": _name(shape.label_id, labels)}
    x1, y1, x2, y2 = map(float, shape.points)
    if shape.get("rotation"):
        x1, y1, x2, y2 = around(x1, y1, x2 - x1, y2 - y1, float(shape.rotation), about_centre=True)
    box |= dict(zip(EDGES, (x1, y1, x2, y2), strict=True))
    names = labels[shape.label_id].attributes if shape.label_id in labels else {}
    actor = [each.value for each in shape.get("attributes") or () if names.get(each.spec_id) == "actor" and each.value]
    return box | ({"actor": actor[0]} if actor else {})


def _name(label: int, labels: Mapping[int, Label]) -> str:
    return labels[label].name if label in labels else f"label {label}"


def _who(job: Any) -> str:
    """Who has the job; a job that nobody was given stands for whoever did it, so that two jobs are two annotators."""
    assignee = job.get("assignee")
    return f"job {job.id}" if assignee is None else str(assignee.username)


def _when(job: Any) -> str | None:
    moment = job.get("updated_date")
    return None if moment is None else str(moment.isoformat())
