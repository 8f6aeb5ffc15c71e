"""Requests that people take from a directory, and answers that they bring in files."""

import json
import shlex
from typing import Any

from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.pool import storage
from hybridal_ray.requests.request import AskedFrame, Request

TEMPLATE = "answers.json"
GUIDE = """\
What to do with this request
----------------------------
answers.json has one entry for each frame. Look at its image, and at its clip for what happens around it.
Set "answer" to one of
  "actors"       and put a box around each of them: x1, y1, x2, y2 in pixels of the image, and the "class" (one of
                 those in request.json). Boxes that are there already are the detector's: keep, move, or delete them.
  "no actor"     and delete the boxes: nobody acts on this frame.
  "cannot tell"  you will not be asked again.
and, where you can, "seconds" (how long it took), "annotator" (your name) and "answered_at" (2026-01-31T14:05:00Z).
An entry whose "answer" is null counts as not answered yet, so that a file may be brought back part by part.
An entry with "answers_wanted" 2 is answered by two people, each in a file of their own: there "annotator" must be told,
in the entry, for the whole file, or by --annotator.
"actor" may name who is who: the same name on all frames of a video. Left out, it is found by place.

Bring it back with
  hybridal labels import {run} answers.json
"""


class FileOracle:
    """Asks by a template of answers beside the request; answers come with ``hybridal labels import``."""

    def send(self, request: Request) -> str:
        """See `WaitingOracle.send`."""
        template, readme = storage.join(request.directory, TEMPLATE), storage.join(request.directory, "README.txt")
        guide = GUIDE.format(run=shlex.quote(request.run)).encode()
        if not storage.exists(readme) or storage.read_bytes(readme) != guide:  # the run may have been moved
            storage.write_bytes(readme, guide)
        if not storage.exists(template):
            storage.write_bytes(template, (json.dumps(answers_template(request), indent=1) + "\n").encode())
        return (
            f"fill in {template} (README.txt beside it tells how) and bring it back with "
            f"`hybridal labels import {shlex.quote(request.run)} FILE`"
        )

    def fetch(self, request: Request) -> Delivery | None:
        """See `WaitingOracle.fetch`: answers come in files."""
        return None


def answers_template(request: Request) -> dict[str, Any]:
    """The file of answers to a request with nothing answered yet and the detector's boxes in their places."""
    return {"request": request.request, "annotator": None, "answers": [_entry(frame) for frame in request.frames]}


def _entry(frame: AskedFrame) -> dict[str, Any]:
    boxes = [
        {"class": box.class_name, **dict(zip(("x1", "y1", "x2", "y2"), box.box, strict=True))}
        for box in frame.proposed or ()
    ]
    place = {"task": frame.task, "video_id": frame.video_id, "frame": frame.frame, "image": frame.image}
    open_ = {"answer": None, "boxes": boxes, "seconds": None, "answered_at": None}
    return {**place, "clip": frame.clip, "answers_wanted": frame.answers_wanted, **open_}
