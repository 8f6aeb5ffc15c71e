"""Importer of AVA's csv and of MultiSports' csv of the same columns: sparse boxes with several actions each.

Rows are ``video_id, timestamp, x1, y1, x2, y2, action_id, person_id`` without a header, coordinates in [0, 1].
Reference: Gu et al., "AVA: A Video Dataset of Spatio-temporally Localized Atomic Visual Actions", CVPR 2018.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import AnnotatedVideo, Annotations, Tube, VideoLabels
from hybridal_ray.pool.formats.media import without_suffix
from hybridal_ray.pool.untrusted import read_text

_QUOTED = r"""(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
_MAP_ITEM = re.compile(rf"""item\s*\{{((?:{_QUOTED}|[^}}"'])*)\}}""")
_MAP_NAME = re.compile(rf"name\s*:\s*({_QUOTED})")
_MAP_ID = re.compile(r"\bid\s*:\s*(\d+)")


@dataclass(frozen=True)
class Clock:
    """How the second column names a frame.

    Attributes:
        unit: ``seconds`` (AVA) or ``frames`` (MultiSports).
        origin: The time at the first frame of the file: 0; 900 for AVA clips cut at minute 15; 1 for MultiSports.
    """

    unit: str = "seconds"
    origin: float = 0.0

    def frames(self, times: Sequence[float], facts: VideoFacts, video_id: str) -> np.ndarray:
        """Frame indices, 0-based.

        Raises:
            UserError: Seconds are to be told in a video that states no frame rate.
        """
        since = np.asarray(times, dtype=np.float64) - self.origin
        if self.unit == "frames":
            return np.rint(since).astype(np.int64)
        if facts.fps <= 0:
            raise UserError(f"{video_id}: states no frame rate, so its seconds cannot be placed; give it with --fps")
        return np.rint(since * facts.fps).astype(np.int64)


@dataclass(frozen=True)
class _Row:
    time: float
    box: tuple[float, ...] | None  # None: looked at, and nobody there
    action: int
    person: str


def read_ava(
    splits: Mapping[str, str],
    *,
    label_map: str | None = None,
    excluded: Sequence[str] = (),
    clock: Clock | None = None,
) -> Annotations:
    """Reads csv files.

    The timestamps that occur in a video are those that were labelled. The actions of one person at one time are
    boxes of one tube that differ in their class.

    Args:
        splits: ``train``, ``val`` or ``test`` to its csv file.
        label_map: Names of the actions, ``item { name: … id: … }`` or csv rows of id and name; None names an action
            by its number.
        excluded: csv files of ``video_id, timestamp``: seconds that do not count, with or without boxes.
        clock: How a timestamp names a frame.

    Raises:
        UserError: A file is absent or a line of it malformed; the message names the line.
    """
    skipped = {pair for file in excluded for pair in _pairs(file)}
    names = None if label_map is None else read_label_map(label_map)
    rows: defaultdict[str, list[_Row]] = defaultdict(list)
    split_of: dict[str, str] = {}
    for split, file in splits.items():
        for video_id, row in _read_rows(file):
            if split_of.setdefault(video_id, split) != split:
                raise UserError(f"{file}: {video_id!r} is in {split_of[video_id]} too, expected one split a video")
            rows[video_id] += [] if (video_id, row.time) in skipped else [row]
    found = {row.action for of_video in rows.values() for row in of_video if row.box is not None}
    if names is not None and (strangers := sorted(found - names.keys())):
        raise UserError(f"{label_map}: does not name action {strangers[0]}, which {', '.join(splits.values())} hold")
    numbers = sorted(found if names is None else names)
    classes = [str(number) if names is None else names[number] for number in numbers]
    classes = [f"{name} ({n})" if classes.count(name) > 1 else name for name, n in zip(classes, numbers, strict=True)]
    ids = {number: class_id for class_id, number in enumerate(numbers)}
    clock = clock or Clock()
    return Annotations(
        tuple(classes),
        [
            AnnotatedVideo(
                video_id,
                split_of[video_id],
                partial(_labels, rows=rows[video_id], ids=ids, video_id=video_id, clock=clock),
            )
            for video_id in sorted(rows)
        ],
        by_time=clock.unit == "seconds",
    )


def _labels(
    facts: VideoFacts, *, rows: Sequence[_Row], ids: Mapping[int, int], video_id: str, clock: Clock
) -> VideoLabels:
    frames = clock.frames([row.time for row in rows], facts, video_id)
    scale = np.array([facts.width, facts.height] * 2, dtype=np.float64)
    by_tube: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.box is not None:
            by_tube[row.person, ids[row.action]].append(number)
    tubes = [
        Tube(person, class_id, frames[numbers], np.array([rows[number].box for number in numbers]) * scale)
        for (person, class_id), numbers in sorted(by_tube.items())
    ]
    return VideoLabels(tubes, np.unique(frames))


def _read_rows(location: str) -> list[tuple[str, _Row]]:
    rows = []
    for number, (line, fields) in enumerate(_lines(location)):
        if len(fields) not in (2, 7, 8):
            raise UserError(f"{location}: line {line} has {len(fields)} columns, expected 8, 7 without person_id, or 2")
        try:
            time = float(fields[1])
            numbers = tuple(float(field) for field in fields[2:6]) if any(fields[2:6]) else None
            action = int(fields[6]) if numbers is not None else 0
        except ValueError as error:
            raise UserError(f"{location}: line {line}: {error}") from error
        if numbers is not None and not all(0 <= number <= 1 for number in numbers):
            raise UserError(f"{location}: line {line}: a box of {numbers}, expected coordinates from 0 to 1")
        if not np.isfinite(time):
            raise UserError(f"{location}: line {line}: timestamp {fields[1]!r}, expected a number")
        person = fields[7] if len(fields) == 8 and fields[7] else f"box {number}"  # a tube of one frame
        rows.append((without_suffix(fields[0]), _Row(time, numbers, action, person)))
    return rows


def _pairs(location: str) -> list[tuple[str, float]]:
    pairs = []
    for line, fields in _lines(location):
        try:
            pairs.append((without_suffix(fields[0]), float(fields[1])))
        except (IndexError, ValueError) as error:
            raise UserError(f"{location}: line {line}: {fields!r}, expected video_id, timestamp") from error
    return pairs


def _lines(location: str) -> list[tuple[int, list[str]]]:
    """The rows of a csv file that are not empty, with the number of their line."""
    try:
        text = read_text(location)
        reader = csv.reader(io.StringIO(text, newline=""))
        return [(reader.line_num, [field.strip() for field in fields]) for fields in reader if any(fields)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{location}: not a readable csv file: {error}") from error


def read_label_map(location: str) -> dict[int, str]:
    """Names by action id, out of ``item { name: … id: … }`` or csv rows of id and name.

    Raises:
        UserError: The file is absent, or names no action.
    """
    text = read_text(location, errors="replace")
    names: dict[int, str] = {}
    for item in _MAP_ITEM.findall(text):
        name, number = _MAP_NAME.search(item), _MAP_ID.search(re.sub(_QUOTED, "", item))
        if name is None or number is None:
            raise UserError(f"{location}: an item without name or id: {item.strip()!r}")
        names[int(number.group(1))] = re.sub(r"\\(.)", r"\1", name.group(1)[1:-1])
    if not names:
        names = {int(fields[0]): fields[1] for _, fields in _lines(location) if len(fields) > 1 and fields[0].isdigit()}
    if not names:
        raise UserError(f"{location}: names no action, expected item {{ name: … id: … }} or rows of id, name")
    return names
