"""A run whose labels come from a CVAT server, by its configuration and the commands alone.

Oracle: the truth of the demo pool, which is drawn into the jobs; what the ledger holds must be that. The server is the
tests' own; no real one has seen this.
"""

import json
from pathlib import Path

import pytest
from misbehaving_cvat import MisbehavingCvat
from misbehaving_server import TOKEN, serving
from scripted_people import answer, request_of, run_with_people, unlabelled_pool

from hybridal_ray.oracles.cvat_tasks import task_of_image
from hybridal_ray.pool import ledger
from hybridal_ray.pool.tables import Pool, load_pool
from hybridal_ray.requests.request import Request

pytest.importorskip("cvat_sdk", reason="pip install -c constraints.txt '.[cvat]' brings the SDK")


def draw(server: MisbehavingCvat, asked: Request, truth: Pool, scratch: Path) -> None:
    """Somebody boxes every actor of a request and completes the jobs."""
    told = {one["task"]: one["boxes"] for one in answer(asked, truth, scratch)}
    label_of = {label["name"]: label["id"] for label in server.labels}
    for number, task in server.tasks.items():
        if task_of_image(task["images"][0]) not in told:
            continue
        shapes = [
            {
                "type": "rectangle", "frame": frame, "label_id": label_of[box["class"]], "source": "manual",
                "points": [box[edge] for edge in ("x1", "y1", "x2", "y2")], "id": 10 * frame + index,
            }
            for frame, image in enumerate(task["images"])
            for index, box in enumerate(told[task_of_image(image)])
        ]  # fmt: skip
        task["annotations"] = {"version": 1, "tags": [], "shapes": shapes, "tracks": []}
        server.jobs[10 * number]["state"] = "completed"


def test_two_rounds(hybridal, tiny_pool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CVAT_ACCESS_TOKEN", TOKEN)
    monkeypatch.setattr("hybridal_ray.oracles.cvat_server.sleep", lambda seconds: None)
    run, truth = tmp_path / "run", load_pool(str(tiny_pool))
    pool = unlabelled_pool(tiny_pool, tmp_path / "bare")
    with serving(MisbehavingCvat()) as server:
        cvat = {"oracle__name": "cvat", "oracle__options": {"url": server.url}}
        said = run_with_people(tmp_path, pool, **cvat)
        assert said[-1].startswith("waiting for people: 0 of 15 frames answered")
        for round_index, frames in ((None, 15), (0, 8)):
            draw(server, request_of(run, round_index), truth, tmp_path / "answers.json")
            code, out, err = hybridal("labels", "pull", run, "--json")
            assert (code, err) == (0, "")
            assert json.loads(out)["deliveries"][-1]["added"] == frames
            said = run_with_people(tmp_path, pool, **cvat)
        assert len(server.projects) == 1
        assert any(task["annotations"]["shapes"] for task in server.tasks.values())

    assert (run / "rounds/001/select.done.json").exists()
    rows = ledger.read(str(run)).to_pylist()
    real = {(row["video_id"], row["frame"], row["class_id"], round(row["x1"], 2)) for row in truth.tubes.to_pylist()}
    asked = {(row["video_id"], row["frame"]) for row in rows}
    assert {(r["video_id"], r["frame"], b["class_id"], round(b["x1"], 2)) for r in rows for b in r["boxes"]} == {
        known for known in real if known[:2] in asked
    }
    written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
    assert not [content for content in written if TOKEN.encode() in content]
