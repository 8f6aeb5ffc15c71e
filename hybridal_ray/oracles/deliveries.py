"""Which format a file of answers is in, told by its name and by what it holds."""

import dataclasses
from collections.abc import Sequence

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.answer_files import read_answer_file
from hybridal_ray.oracles.cvat_answers import read_cvat_answers
from hybridal_ray.oracles.interface import AnswerRecord, Delivery
from hybridal_ray.requests.request import Request

SUFFIXES = (".json", ".parquet", ".xml", ".zip")


def read_delivery(
    location: str, requests: Sequence[Request], *, annotator: str | None = None, all_seen: bool = False
) -> Delivery:
    """Reads a file of answers in any of the known formats.

    Args:
        location: ``.json`` or ``.parquet`` of our own, ``.json`` of Label Studio, ``.xml`` or ``.zip`` of CVAT.
        requests: Of the run, by whose tasks tools name what they answer.
        annotator: Who answered, where the file does not say.
        all_seen: See `read_cvat_answers`.

    Raises:
        UserError: There is no such file, or nothing in it has the shape of an answer.
    """
    suffix = next((suffix for suffix in SUFFIXES if location.lower().endswith(suffix)), None)
    if suffix is None:
        raise UserError(f"{location}: expected a file of answers that ends in one of {', '.join(SUFFIXES)}")
    if suffix in (".xml", ".zip"):
        delivery = read_cvat_answers(location, requests, all_seen=all_seen)
    else:
        delivery = read_answer_file(location, picture_sizes(requests))
    if annotator is None:
        return delivery
    named = [
        AnswerRecord(record.record, {**record.fields, "annotator": record.fields.get("annotator") or annotator})
        for record in delivery.records
    ]
    return dataclasses.replace(delivery, records=named)


def picture_sizes(requests: Sequence[Request]) -> dict[str, tuple[int, int]]:
    """Width and height of the picture of each task, in pixels, by the task's name."""
    return {
        frame.task: (request.videos[frame.video_id].width, request.videos[frame.video_id].height)
        for request in requests
        for frame in request.frames
    }
