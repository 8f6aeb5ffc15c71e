"""From the picks of a round to a request: pictures, what is known, what the detector proposes, why it was picked."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hybridal_ray.pool import ledger, storage
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.tables import Pool
from hybridal_ray.requests.pictures import Shot, shot_around, take_shots
from hybridal_ray.requests.request import (
    AskedFrame,
    AskedVideo,
    KnownBox,
    ProposedBox,
    Request,
    read_request,
    request_exists,
    request_id,
    task_name,
    write_description,
)
from hybridal_ray.requests.second_opinions import asked_twice

REASONS = ("rank", "cluster", "quota", "uncertainty", "proximity_penalty", "video_score")
EDGES = ("x1", "y1", "x2", "y2")


def write_request(
    directory: str,
    picks: pa.Table,
    pool: Pool,
    labels: pa.Table,
    predictions: pa.Table | None,
    *,
    run: str,
    run_identity: str,
    for_round: int,
    overlap: float,
    clip_seconds: float,
    min_score: float,
) -> Request:
    """Writes a request; one that is there whole is read and left as it is.

    Args:
        directory: Where, path or URI; of this request alone.
        picks: Table of `SELECTION_SCHEMA`.
        pool: Whose videos were picked. Nothing of its labels is used.
        labels: The ledger so far (`LABELS_SCHEMA`).
        predictions: Of the round's detector on the picked videos (`PREDICTIONS_SCHEMA`); None where there is none yet.
        run: The run directory, for people to read.
        run_identity: Of the run, from which and `for_round` the id of the request follows.
        for_round: The round from whose training on the labels are used.
        overlap: Share of the frames that are to be answered by two annotators, in [0, 1].
        clip_seconds: Length of the clip around each frame.
        min_score: Boxes of lower score are not proposed.

    Returns:
        The request. Frames of a video that cannot be decoded, and those that were answered since they were picked, are
        not in it, but told in `Request.left_out`.
    """
    if request_exists(directory):
        return read_request(directory)
    identity = request_id(run_identity, for_round)
    rows = {row["video_id"]: row for row in _rows_of(pool.videos, picks).to_pylist()}
    known = {row["video_id"]: [] for row in rows.values()}  # type: dict[str, list[dict[str, Any]]]
    for row in ledger.labelled_rows(_rows_of(labels, picks)).to_pylist():
        known[row["video_id"]].append(row)
    proposals = None if predictions is None else _proposals(_rows_of(predictions, picks), pool.classes, min_score)
    picked = picks.sort_by("rank").to_pylist()
    lost = _answered(picked, ledger.answered_frames(_rows_of(labels, picks)), identity)
    ordered = [pick for pick in picked if task_name(identity, pick["rank"]) not in lost]
    twice = asked_twice(len(ordered), overlap)
    shots = {
        task_name(identity, pick["rank"]): shot_around(
            pick["frame"], rows[pick["video_id"]]["num_frames"], rows[pick["video_id"]]["fps"], clip_seconds
        )
        for pick in ordered
    }
    lost |= _write_pictures(directory, pool, ordered, shots, rows, identity)
    frames = tuple(
        _asked(pick, identity, shots, rows[pick["video_id"]], proposals, 2 if twice[place] else 1)
        for place, pick in enumerate(ordered)
        if task_name(identity, pick["rank"]) not in lost
    )
    names = {frame.video_id for frame in frames}
    request = Request(
        request=identity,
        run=run,
        for_round=for_round,
        classes=tuple(pool.classes),
        videos={name: _video(rows[name], pool, known[name]) for name in sorted(names)},
        frames=frames,
        left_out=tuple(
            {"video_id": pick["video_id"], "frame": pick["frame"], "reason": lost[task_name(identity, pick["rank"])]}
            for pick in picked
            if task_name(identity, pick["rank"]) in lost
        ),
        directory=directory,
        run_identity=run_identity,
    )
    write_description(request)
    return request


def _answered(picked: Sequence[Mapping[str, Any]], known: Mapping[str, Sequence[int]], identity: str) -> dict[str, str]:
    """Why a task is not asked, by its name: its frame is answered, to a former request or to none."""
    return {
        task_name(identity, pick["rank"]): "it is answered already"
        for pick in picked
        if pick["frame"] in known.get(pick["video_id"], ())
    }


def _rows_of(table: pa.Table, picks: pa.Table) -> pa.Table:
    return table.filter(pc.is_in(table["video_id"], picks["video_id"].combine_chunks().unique()))


def _write_pictures(
    directory: str,
    pool: Pool,
    picks: Sequence[Mapping[str, Any]],
    shots: Mapping[str, Shot],
    rows: Mapping[str, Mapping[str, Any]],
    identity: str,
) -> dict[str, str]:
    """Writes the images and clips that are not there yet; returns why a task has none, by its name."""
    lost: dict[str, str] = {}
    for video_id in dict.fromkeys(pick["video_id"] for pick in picks):
        tasks = [task_name(identity, pick["rank"]) for pick in picks if pick["video_id"] == video_id]
        pending = {task: shots[task] for task in tasks if not storage.exists(storage.join(directory, clip_of(task)))}
        if not pending:
            continue
        uri, reason = storage.resolve_uri(rows[video_id]["uri"], pool.root), "the video ends before this frame"
        taken = set()
        try:
            for task, png, clip in take_shots(uri, pending, rows[video_id]["fps"]):
                storage.write_bytes(storage.join(directory, image_of(task)), png)
                storage.write_bytes(storage.join(directory, clip_of(task)), clip)
                taken.add(task)
        except UnreadableVideo as error:
            reason = str(error)
        lost |= {task: reason for task in pending if task not in taken}
    return lost


def image_of(task: str) -> str:
    """Where a request keeps the image of a task."""
    return f"images/{task}.png"


def clip_of(task: str) -> str:
    """Where a request keeps the clip of a task; it is written behind the image."""
    return f"clips/{task}.mp4"


def _proposals(
    predictions: pa.Table, classes: Sequence[str], min_score: float
) -> dict[tuple[str, int], list[ProposedBox]]:
    """The boxes of each frame, the best first; of the classes of a tube the most probable."""
    best: dict[tuple[str, str], dict[str, Any]] = {}
    rows = predictions.to_pylist()
    for row in rows:
        tube = (row["video_id"], row["tube_id"])
        if tube not in best or row["tube_score"] > best[tube]["tube_score"]:
            best[tube] = row
    boxes: dict[tuple[str, int], list[ProposedBox]] = {}
    for row in rows:
        if row["class_id"] == best[row["video_id"], row["tube_id"]]["class_id"] and row["score"] >= min_score:
            box = ProposedBox(classes[row["class_id"]], _box(row), row["score"], row["tube_id"])
            boxes.setdefault((row["video_id"], row["frame"]), []).append(box)
    return {place: sorted(found, key=lambda box: (-box.score, box.tube_id)) for place, found in boxes.items()}


def _asked(
    pick: Mapping[str, Any],
    identity: str,
    shots: Mapping[str, Shot],
    row: Mapping[str, Any],
    proposals: Mapping[tuple[str, int], Sequence[ProposedBox]] | None,
    answers_wanted: int,
) -> AskedFrame:
    task, place = task_name(identity, pick["rank"]), (pick["video_id"], pick["frame"])
    return AskedFrame(
        task=task,
        video_id=pick["video_id"],
        frame=pick["frame"],
        seconds=pick["frame"] / row["fps"] if row["fps"] > 0 else None,
        image=image_of(task),
        clip=clip_of(task),
        clip_start=shots[task].start,
        answers_wanted=answers_wanted,
        why={name: _finite(pick[name]) for name in REASONS},
        proposed=None if proposals is None else tuple(_inside(box, row) for box in proposals.get(place, ())),
    )


def _inside(proposed: ProposedBox, row: Mapping[str, Any]) -> ProposedBox:
    x1, y1, x2, y2 = proposed.box
    width, height = float(row["width"]), float(row["height"])
    box = (max(0.0, x1), max(0.0, y1), min(width, x2), min(height, y2))
    return ProposedBox(proposed.class_name, box, proposed.score, proposed.tube_id)


def _video(row: Mapping[str, Any], pool: Pool, labelled: Sequence[Mapping[str, Any]]) -> AskedVideo:
    known = [
        KnownBox(label["frame"], box["tube_id"], pool.classes[box["class_id"]], _box(box))
        for label in sorted(labelled, key=lambda label: label["frame"])
        for box in label["boxes"]
    ]
    facts = {name: row[name] for name in ("video_id", "num_frames", "fps", "width", "height")}
    frames = tuple(sorted(label["frame"] for label in labelled))
    uri = storage.resolve_uri(row["uri"], pool.root)
    return AskedVideo(**facts, uri=uri, labelled_frames=frames, known=tuple(known))


def _box(row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(row[edge]) for edge in EDGES)
    return x1, y1, x2, y2


def _finite(value: float | int | None) -> float | int | None:
    return value if value is not None and np.isfinite(value) else None
