"""Answers in files of our own format: JSON, as a request's template shows it, or the same as a Parquet table."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.pool.untrusted import read_bounded

KIND = "files"
HEADER = ("request", "annotator")  # said once for all answers of a file
MAX_ANSWERS = 1_000_000


def read_answer_file(location: str) -> Delivery:
    """Reads a file of answers, ``.json`` or ``.parquet``.

    Of a JSON file that is damaged, the answers before the damage are read, and the rest is told as unreadable.

    Raises:
        UserError: There is no such file, or nothing in it has the shape of an answer.
    """
    content = read_bounded(location)
    if location.endswith(".parquet"):
        return Delivery(location, KIND, _parquet_records(content, location))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        text = content[: error.start].decode("utf-8", errors="ignore")
    try:
        return delivery_of(json.loads(content), location)
    except (ValueError, RecursionError) as error:
        return _salvaged(text, location, error)


def delivery_of(tree: Any, source: str) -> Delivery:
    """The answers in a parsed JSON file.

    Raises:
        UserError: It is neither a list of answers nor a mapping that holds one as ``answers``.
    """
    answers = tree.get("answers") if isinstance(tree, Mapping) else tree
    if not isinstance(answers, list):
        found = type(answers if isinstance(tree, Mapping) else tree).__name__
        raise UserError(f"{source}: answers: found {found}, expected a list of answers")
    header = {name: tree[name] for name in HEADER if isinstance(tree, Mapping) and tree.get(name) is not None}
    records, unreadable = [], []
    for number, answer in enumerate(answers[:MAX_ANSWERS]):
        record = f"answer {number}"
        if isinstance(answer, Mapping):
            own = {name: value for name, value in answer.items() if value is not None or name not in header}
            records.append(AnswerRecord(record, {**header, **own}))
        else:
            found = f"{type(answer).__name__} {answer!r}"[:200]
            unreadable.append(Rejected(source, record, "answer", found, "a mapping of fields", content=answer))
    return Delivery(source, KIND, records, unreadable)


def _salvaged(text: str, location: str, error: Exception) -> Delivery:
    """The answers of a damaged file that stand whole before the damage."""
    decoder, answers = json.JSONDecoder(), []
    start = text.find('"answers"')
    place = text.find("[", max(start, 0))
    if place < 0:
        raise UserError(f"{location}: not valid JSON: {error}") from error
    place += 1
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        try:
            answer, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            break
        answers.append(answer)
    header = {}
    for name in HEADER:
        found = text.find(f'"{name}"', 0, max(start, 0))
        if found >= 0:
            try:
                header[name] = decoder.raw_decode(text, text.index(":", found) + 1 + 1)[0]
            except (ValueError, RecursionError):
                continue
    whole = delivery_of({**header, "answers": answers}, location)
    rest = text[place : place + 200]
    damage = Rejected(
        location, f"answer {len(answers)}", "file", repr(rest), f"the rest of a valid JSON file ({error})", content=rest
    )
    return Delivery(location, KIND, whole.records, [*whole.unreadable, damage])


def _parquet_records(content: bytes, location: str) -> list[AnswerRecord]:
    try:
        rows = pq.read_table(pa.BufferReader(content)).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{location}: not a readable Parquet file: {error}") from error
    # A table has every column in every row: what is null there is not told.
    told = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return [AnswerRecord(f"row {number}", row) for number, row in enumerate(told)]
