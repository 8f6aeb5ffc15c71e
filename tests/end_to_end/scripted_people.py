"""People who answer a request from the truth of the demo pool, and runs that wait for them."""

import json
from pathlib import Path
from typing import Any

from tiny_runs import tiny_config

from hybridal_ray.labelling import Patience
from hybridal_ray.loop import run_loop
from hybridal_ray.pool.tables import Pool, load_pool, save_pool
from hybridal_ray.requests.request import Request, read_request


def unlabelled_pool(labelled: Path, root: Path) -> Path:
    """The same videos without a single label, none of them set apart to test on."""
    pool = load_pool(str(labelled))
    rows = [
        {**row, "uri": str(labelled / row["uri"]), "split": "train", "group": row["video_id"]}
        for row in pool.videos.to_pylist()
        if row["split"] == "train"
    ]
    videos = pool.videos.schema.empty_table().from_pylist(rows, pool.videos.schema)
    save_pool(Pool(str(root), "bare", pool.classes, videos, pool.tubes.slice(0, 0)))
    return root


def run_with_people(root: Path, pool: Path, patience: Patience | None = None, **settings: Any) -> list[str]:
    """Starts, or goes on with, the run in ``root/run``; returns what it said."""
    lines: list[str] = []
    config = tiny_config(root, pool, **{"oracle__name": "files", **settings})
    run_loop(config, say=lines.append, patience=patience or Patience())
    return lines


def request_of(run: Path, round_index: int | None) -> Request:
    place = "start" if round_index is None else f"rounds/{round_index:03d}"
    return read_request(str(run / place / "request"))


def answer(request: Request, truth: Pool, file: Path, **fields: Any) -> list[dict[str, Any]]:
    """Answers every task of a request from the truth, as a person would fill in the template."""
    tubes = truth.tubes.to_pylist()
    answers = []
    for frame in request.frames:
        boxes = [
            {"class": truth.classes[row["class_id"]], **{edge: row[edge] for edge in ("x1", "y1", "x2", "y2")}}
            for row in tubes
            if (row["video_id"], row["frame"]) == (frame.video_id, frame.frame)
        ]
        told = {"task": frame.task, "answer": "actors" if boxes else "no actor", "boxes": boxes}
        answers.append({**told, "seconds": 4.0 + 10 * len(boxes), "annotator": "anna", **fields})
    file.write_text(json.dumps({"request": request.request, "answers": answers}))
    return answers
