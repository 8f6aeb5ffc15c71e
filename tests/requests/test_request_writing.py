"""A request as it is written. Oracles: the tables it is made of, row by row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.pool.demo.writing import encode_h264
from hybridal_ray.pool.ledger import LABELS_SCHEMA
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA, SELECTION_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA, VIDEOS_SCHEMA, Pool
from hybridal_ray.requests.request import Request, read_request, request_id
from hybridal_ray.requests.writing import write_request

BOX = {"class_id": 1, "x1": 4.0, "y1": 4.0, "x2": 70.0, "y2": 20.0}


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    """Videos ``a`` and ``b`` of 12 frames, and ``broken``, which is none; a truth that nobody has bought."""
    for name in "ab":
        frames = np.full((12, 48, 64, 3), 80, np.uint8)
        (tmp_path / f"{name}.mp4").write_bytes(encode_h264(frames, 25))
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    facts = {"split": "train", "num_frames": 12, "fps": 25.0, "width": 64, "height": 48, "status": "ok", "reason": None}
    rows = [{"video_id": name, "uri": f"{name}.mp4", "group": name, **facts} for name in ("a", "b", "broken")]
    secret = [{"video_id": "a", "tube_id": "secret", "frame": 3, "mask": None, **BOX}]
    tables = pa.Table.from_pylist(rows, VIDEOS_SCHEMA), pa.Table.from_pylist(secret, TUBES_SCHEMA)
    return Pool(str(tmp_path), "p", ("wave", "kick"), *tables)


def picks(*places: tuple[str, int]) -> pa.Table:
    rows = [
        {"video_id": video_id, "frame": frame, "rank": rank, "cluster": 2, "quota": 1, "uncertainty": 0.25,
         "proximity_penalty": float("nan"), "video_score": None}
        for rank, (video_id, frame) in enumerate(places)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, SELECTION_SCHEMA)


def prediction(
    video_id: str, tube_id: str, frame: int, class_id: int, score: float, tube_score: float
) -> dict[str, Any]:
    facts = {"video_id": video_id, "tube_id": tube_id, "frame": frame, "score": score, "tube_score": tube_score}
    return {**BOX, **facts, "class_id": class_id}


def write(pool: Pool, tmp_path: Path, **changes: Any) -> Request:
    tube = [
        ("a", "t0", 3, 0, 0.3, 0.2),
        ("a", "t0", 3, 1, 0.6, 0.7),
        ("a", "t1", 3, 0, 0.1, 0.9),
        ("a", "t2", 3, 0, 0.9, 0.9),
    ]
    row = dict.fromkeys(LABELS_SCHEMA.names) | {"round": 0, "source": "files"}
    known = [
        row | {"video_id": "a", "frame": 9, "boxes": [{"tube_id": "left", "mask": None, **BOX}]},
        row | {"video_id": "a", "frame": 1, "boxes": []},
        row | {"video_id": "a", "frame": 2, "boxes": [], "answer": "cannot tell"},
    ]
    arguments: dict[str, Any] = {
        "directory": str(tmp_path / "request"),
        "picks": picks(("a", 3), ("b", 0), ("broken", 4), ("a", 11)),
        "pool": pool,
        "labels": pa.Table.from_pylist(known, LABELS_SCHEMA),
        "predictions": pa.Table.from_pylist([prediction(*one) for one in tube], PREDICTIONS_SCHEMA),
        "run": "run", "run_identity": "identity", "for_round": 1,
        "overlap": 0.25, "clip_seconds": 0.2, "min_score": 0.2,
    }  # fmt: skip
    return write_request(**(arguments | changes))


def test_a_request_tells_all_there_is_to_know(pool: Pool, tmp_path: Path) -> None:
    request = write(pool, tmp_path)
    assert read_request(request.directory) == request
    first = request.frames[0]
    assert (first.video_id, first.frame, first.seconds, first.clip_start) == ("a", 3, 3 / 25, 1)
    assert first.why["cluster"], first.why["uncertainty"] == (2, 0.25)
    assert first.why["proximity_penalty"] is None
    # Of each tube its most probable class alone, above the least score, the best first, inside the picture.
    assert [(box.tube_id, box.class_name) for box in first.proposed] == [("t2", "wave"), ("t0", "kick")]
    assert first.proposed[0].box == (4.0, 4.0, 64.0, 20.0)
    assert request.frames[1].proposed == ()
    video = request.videos["a"]
    assert (video.labelled_frames, [(box.frame, box.actor) for box in video.known]) == ((1, 9), [(9, "left")])
    assert "secret" not in (tmp_path / "request/request.json").read_text()
    for frame in request.frames:
        assert (tmp_path / "request" / frame.image).exists()
        assert (tmp_path / "request" / frame.clip).exists()


def test_what_cannot_be_shown_is_left_out_and_told(pool: Pool, tmp_path: Path) -> None:
    request = write(pool, tmp_path)
    assert [(frame.video_id, frame.frame) for frame in request.frames] == [("a", 3), ("b", 0), ("a", 11)]
    (lost,) = request.left_out
    assert (lost["video_id"], lost["frame"]) == ("broken", 4)
    assert "broken.mp4" in str(lost["reason"])


def test_writing_again_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    request = write(pool, tmp_path)
    before = {file: file.stat().st_mtime_ns for file in (tmp_path / "request").rglob("*")}
    assert write(pool, tmp_path, picks=picks(("b", 1))) == request
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "request").rglob("*")} == before


def test_without_a_detector_nothing_is_proposed(pool: Pool, tmp_path: Path) -> None:
    assert {frame.proposed for frame in write(pool, tmp_path, predictions=None).frames} == {None}


def test_ids_differ_by_run_and_round() -> None:
    ids = {request_id(run, number) for run in ("a", "b") for number in range(3)}
    assert len(ids) == 6
    assert request_id("a", 0) == request_id("a", 0)


def test_what_is_no_request_is_named(pool: Pool, tmp_path: Path) -> None:
    request = write(pool, tmp_path)
    file = tmp_path / "request/request.json"
    file.write_text(file.read_text().replace('"frames"', '"pictures"'))
    with pytest.raises(UserError, match=r"request\.json: not the description of a request"):
        read_request(request.directory)


def test_a_frame_that_is_answered_by_now_is_not_asked_again(pool: Pool, tmp_path: Path) -> None:
    """Frames 1 and 2 of ``a`` are answered, one of them that it cannot be told."""
    request = write(pool, tmp_path, picks=picks(("a", 1), ("b", 0), ("a", 2), ("a", 4)), overlap=1.0)
    assert [(frame.video_id, frame.frame) for frame in request.frames] == [("b", 0), ("a", 4)]
    assert [frame.task for frame in request.frames] == [f"{request.request}-00001", f"{request.request}-00003"]
    told = [{"video_id": "a", "frame": frame, "reason": "it is answered already"} for frame in (1, 2)]
    assert list(request.left_out) == told
    assert write(pool, tmp_path / "all", picks=picks(("a", 1))).frames == ()
