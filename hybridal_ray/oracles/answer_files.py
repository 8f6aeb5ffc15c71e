"""Answers in files of our own format: JSON, as a request's template shows it, or the same as a Parquet table.

A JSON file may as well be an export of Label Studio.
"""

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from hybridal_ray.errors import UserError
from hybridal_ray.oracles.interface import AnswerRecord, Delivery, Rejected
from hybridal_ray.oracles.label_studio_answers import delivery_of_export, is_label_studio
from hybridal_ray.pool.table_files import parquet_table
from hybridal_ray.pool.untrusted import read_bounded

KIND = "files"
HEADER = ("request", "annotator")  # said once for all answers of a file
MARKS = {"task", "video_id", "data"}  # of which an answer, or a task of Label Studio, has one at least


def read_answer_file(location: str, sizes: Mapping[str, tuple[int, int]]) -> Delivery:
    """Reads a file of answers, ``.json`` or ``.parquet``.

    Of a JSON file that is damaged, the answers that are whole are read, and the rest is told as unreadable.

    Args:
        location: The file.
        sizes: Of the picture of each task, for Label Studio, which tells places in percent.

    Raises:
        UserError: There is no such file, or nothing in it has the shape of an answer.
    """
    content = read_bounded(location)
    if location.lower().endswith(".parquet"):
        return Delivery(location, KIND, _parquet_records(content, location))
    text = content.decode("utf-8-sig", errors="replace")  # what is damaged is one record's, not the file's
    try:
        tree = json.loads(text)
        damage: list[Rejected] = []
    except (ValueError, RecursionError) as error:
        tree, damage = _salvaged(text, location, error)
    listed = is_label_studio(tree)
    delivery = delivery_of_export(tree, location, sizes) if listed else delivery_of(tree, location)
    return dataclasses.replace(delivery, unreadable=[*delivery.unreadable, *damage])


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
    for number, answer in enumerate(answers):
        record = f"answer {number}"
        if isinstance(answer, Mapping):
            own = {name: value for name, value in answer.items() if value is not None or name not in header}
            records.append(AnswerRecord(record, {**header, **own}))
        else:
            found = f"{type(answer).__name__} {answer!r}"[:200]
            unreadable.append(Rejected(source, record, "answer", found, "a mapping of fields", content=answer))
    return Delivery(source, KIND, records, unreadable)


def _salvaged(text: str, location: str, error: Exception) -> tuple[Any, list[Rejected]]:
    """The answers of a damaged file that are whole, and what lies between them.

    Raises:
        UserError: There is not one.
    """
    found: list[dict[str, Any]] = []
    damage: list[Rejected] = []
    place = 0
    decoder = json.JSONDecoder()
    start = text.find("[", max(text.find('"answers"'), 0)) + 1
    for opening in re.finditer(r"\{", text):
        if opening.start() < max(place, start):
            continue
        try:
            answer, end = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            continue
        if not isinstance(answer, dict) or not answer.keys() & MARKS:
            continue
        damage += _damage(text, place or start, opening.start(), location, len(found), error)
        found.append(answer)
        place = end
    if not found:
        raise UserError(f"{location}: not valid JSON: {error}") from error
    damage += _damage(text, place, len(text), location, len(found), error)
    said = {name: re.search(rf'"{name}"\s*:\s*"([^"\\]*)"', text[:start]) for name in HEADER}
    header = {name: match.group(1) for name, match in said.items() if match is not None}
    return (found if is_label_studio(found) else {**header, "answers": found}), damage


def _damage(text: str, start: int, end: int, location: str, number: int, error: Exception) -> list[Rejected]:
    """What stands between two answers, unless it is what should."""
    between = text[start:end].strip(" \t\r\n,")
    if between in ("", "]", "]}") or "".join(between.split()) == "]}":
        return []
    expected = f"valid JSON ({error})"
    return [Rejected(location, f"before answer {number}", "file", repr(between[:80]), expected, content=between)]


def _parquet_records(content: bytes, location: str) -> list[AnswerRecord]:
    try:
        rows = parquet_table(content).to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UserError(f"{location}: not a readable Parquet file: {error}") from error
    # A table has every column in every row: what is null there is not told, save that a null answer is an open one.
    told = [{name: value for name, value in row.items() if value is not None or name == "answer"} for row in rows]
    return [AnswerRecord(f"row {number}", row) for number, row in enumerate(told)]
