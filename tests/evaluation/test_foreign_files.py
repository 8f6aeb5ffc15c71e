"""Oracles: the files of other tools, written here by hand."""

import os
import pickle

import numpy as np
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.act_pickle import read_act_predictions
from hybridal_ray.evaluation.ava_csv import counted_by_ava, read_ava_predictions, read_ava_truth
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.act import read_video_order
from hybridal_ray.pool.formats.ava import Clock

VIDEOS = ["Run/b", "Run/a"]
CLOCKS = [Clock("frames", 1), Clock("seconds", 900)]


def pickled(tmp_path, content):
    file = tmp_path / "detections.pkl"
    file.write_bytes(pickle.dumps(content))
    return str(file)


def written(tmp_path, name, *lines):
    file = tmp_path / name
    file.write_text("\n".join(lines) + "\n")
    return str(file)


def test_boxes_of_frames_in_an_act_pickle(tmp_path):
    rows = np.array([[1, 1, 3, 0.25, 1, 2, 3, 4], [0, 9, 0, 0.5, 5, 6, 7, 8]], dtype=np.float32)
    table = read_act_predictions(pickled(tmp_path, rows), VIDEOS)
    assert table.drop_columns(["tube_id"]).to_pylist() == [
        {"video_id": "Run/a", "frame": 0, "class_id": 3, "score": 0.25, "tube_score": 0.25, "x1": 1, "y1": 2, "x2": 3,
         "y2": 4},
        {"video_id": "Run/b", "frame": 8, "class_id": 0, "score": 0.5, "tube_score": 0.5, "x1": 5, "y1": 6, "x2": 7,
         "y2": 8},
    ]  # fmt: skip
    assert len(set(table["tube_id"].to_pylist())) == 2


def test_tubes_in_an_act_pickle_keep_the_score_of_each_box(tmp_path):
    with_scores = np.array([[1, 0, 0, 4, 4, 0.5], [2, 1, 1, 5, 5, 0.75]])
    without = np.array([[7, 0, 0, 4, 4]])
    table = read_act_predictions(
        pickled(tmp_path, {2: [("Run/a", 0.5, with_scores), ("Run/b", 0.25, without)]}), VIDEOS
    )
    rows = table.to_pylist()
    assert [(row["video_id"], row["frame"], row["score"], row["tube_score"]) for row in rows] == [
        ("Run/a", 0, 0.5, 0.5), ("Run/a", 1, 0.75, 0.5), ("Run/b", 6, 0.25, 0.25)
    ]  # fmt: skip
    assert {row["class_id"] for row in rows} == {2}
    assert [row["tube_id"] for row in rows[:2]] == [rows[0]["tube_id"]] * 2
    assert rows[2]["tube_id"] != rows[0]["tube_id"]


class Harmful:
    def __reduce__(self):
        return os.getpid, ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Harmful(), "refused: "),
        ([1, 2], "a list found"),
        ({0: [("v", 0.5)]}, "tube 0 of class 0"),
        ({0: [("v", 0.5, np.ones((3, 2)))]}, r"an array of shape \(3, 2\)"),
        (np.array([[5, 1, 0, 1, 0, 0, 1, 1]]), r"video number 5 found, expected 0…1"),
    ],
)
def test_a_pickle_of_something_else_is_refused_and_not_run(tmp_path, content, message):
    with pytest.raises(UserError, match=message):
        read_act_predictions(pickled(tmp_path, content), VIDEOS)


def test_numbers_for_videos_need_the_order_of_the_data_set(tmp_path):
    boxes = pickled(tmp_path, np.array([[1, 1, 3, 0.25, 1, 2, 3, 4]]))
    with pytest.raises(UserError, match=r"detections\.pkl: has numbers for videos; expected --order"):
        read_act_predictions(boxes)
    listed = written(tmp_path, "order.txt", "zebra.mp4", "", "Run/apple")
    assert read_video_order(listed) == ["zebra", "Run/apple"]
    assert read_act_predictions(boxes, read_video_order(listed))["video_id"].to_pylist() == ["Run/apple"]
    (tmp_path / "truth.pkl").write_bytes(pickle.dumps({"test_videos": [["a"], ["c", "b"]]}))
    assert read_video_order(str(tmp_path / "truth.pkl"), 2) == ["c", "b"]
    for content, why in (({"labels": []}, "expected an object with test_videos"), ({"test_videos": []}, "names no")):
        (tmp_path / "truth.pkl").write_bytes(pickle.dumps(content))
        with pytest.raises(UserError, match=why):
            read_video_order(str(tmp_path / "truth.pkl"))


def test_a_torn_pickle_is_refused(tmp_path):
    (tmp_path / "torn.pkl").write_bytes(b"\x80\x04\x95")
    with pytest.raises(UserError, match="not a readable pickle"):
        read_act_predictions(str(tmp_path / "torn.pkl"), VIDEOS)


def test_ava_rows_become_classes_in_the_order_of_ids_and_excluded_timestamps_are_left_out(tmp_path):
    truth = written(
        tmp_path, "truth.csv", "v,0902,0.1,0.2,0.5,0.6,80,0", "v,0902,0.1,0.2,0.5,0.6,12,0", "v,0903,0,0,1,1,12,1",
        "w,0904,0,0,1,1,17,0",
    )  # fmt: skip
    true = read_ava_truth(truth, written(tmp_path, "excluded.csv", "v,0903"))
    assert true.actions == (12, 17, 80)
    assert (true.video_ids, true.excluded) == (("v", "w"), {("v", 903)})
    assert [(row["frame"], row["class_id"], row["tube_id"]) for row in true.truth.to_pylist()] == [
        (902, 2, "person-0"), (902, 0, "person-0"), (904, 1, "person-0")
    ]  # fmt: skip
    said = written(tmp_path, "said.csv", "v,902,0.1,0.2,0.5,0.6,12,0.75", "v,902,0,0,1,1,99,0.9")
    (row,) = read_ava_predictions(said, true.actions).to_pylist()
    assert (row["frame"], row["class_id"], row["score"], row["x1"]) == (902, 0, 0.75, pytest.approx(0.1))
    facts = {"v": VideoFacts(99, 25.0, 200, 100)}
    (row,) = read_ava_predictions(said, true.actions, facts).to_pylist()
    assert [row[name] for name in ("x1", "y1", "x2", "y2")] == pytest.approx([20, 20, 100, 60])
    frames = [read_ava_predictions(said, true.actions, facts, clock)["frame"].to_pylist() for clock in CLOCKS]
    assert frames == [[901], [50]]


def test_only_some_actions_of_an_ava_file(tmp_path):
    truth = written(tmp_path, "truth.csv", "v,0902,0,0,1,1,80,0", "w,0902,0,0,1,1,12,0")
    true = read_ava_truth(truth, only={80: "walk", 81: "run"})
    assert (true.actions, true.video_ids) == ((80, 81), ("v", "w"))
    assert [(row["video_id"], row["class_id"]) for row in true.truth.to_pylist()] == [("v", 0)]


def counted(tmp_path, *rows, excluded=()):
    """The x1 of the rows that count; a row is timestamp, x1, action, score."""
    lines = [f"v,{timestamp},{x1},0.5,1,1,{action},{score}" for timestamp, x1, action, score in rows]
    table = read_ava_predictions(written(tmp_path, "said.csv", *lines), [1, 2])
    return [round(x1, 4) for x1 in counted_by_ava(table, excluded)["x1"].to_pylist()]


def test_of_a_timestamp_the_fifty_best_rows_count(tmp_path):
    scores = np.random.default_rng(0).permutation(70) / 70
    rows = [(902, n / 1000, 1 + n % 2, score) for n, score in enumerate(scores)]
    best = [n / 1000 for n, score in enumerate(scores) if score >= 20 / 70]
    assert counted(tmp_path, *rows, (903, 0.9, 1, 0.0)) == [*best, 0.9]
    assert counted(tmp_path, *rows, (903, 0.9, 1, 0.0), excluded={("v", 902)}) == [0.9]
    assert counted(tmp_path, *rows, excluded={("v", 902)}) == []


def test_of_rows_of_equal_score_those_stay_that_stay_in_avas_program(tmp_path):
    """Worked out by hand of its rule: the 51st row stays out, a better one takes the place of the lowest action."""
    equal = [(902, n / 1000, 2, 0.5) for n in range(48)] + [(902, 0.9, 1, 0.5), (902, 0.8, 1, 0.5)]
    first = [n / 1000 for n in range(48)]
    assert counted(tmp_path, *equal, (902, 0.1, 1, 0.5)) == [*first, 0.9, 0.8]
    assert counted(tmp_path, *equal, (902, 0.1, 1, 0.6)) == [*first, 0.9, 0.1]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("v,902,0.1", "line 1: 3 fields found, expected 8"),
        ("v,902,a,0,1,1,12,1", "line 1: could not convert"),
        ("v,x,0,0,1,1,12,1", "line 1: 'x' found, expected a timestamp"),
        ("v,inf,0,0,1,1,12,1", "line 1: 'inf' found, expected a timestamp"),
        ("v,902,0,0,1,1,x,1", "line 1: 'x' found, expected a whole number"),
    ],
)
def test_a_malformed_ava_row_is_named(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        read_ava_truth(written(tmp_path, "truth.csv", line))
