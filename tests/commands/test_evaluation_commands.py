"""Oracles: what the package says of the same files, and a detector that sees bright squares exactly."""

import dataclasses
import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridal_ray import cli
from hybridal_ray.commands import predict
from hybridal_ray.pool.tables import VIDEOS_SCHEMA, load_pool, save_pool

VIDEOS = ("clips/a", "clips/b")  # of each split


@pytest.fixture(scope="module")
def predictions(pool, tmp_path_factory):
    """What the command predicts of the test split."""
    out = tmp_path_factory.mktemp("predictions") / "predictions.parquet"
    patch = pytest.MonkeyPatch()
    arguments = ["--checkpoint", pool / "checkpoint", "--pool", pool, "--out", out]
    patch.setattr(sys, "argv", ["hybridal", "predict", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    patch.undo()
    assert not end.value.code
    return out


def test_a_pool_is_predicted_into_one_file_and_nothing_is_left_beside_it(predictions):
    assert set(pq.read_table(predictions)["video_id"].to_pylist()) == {f"test/{name}" for name in VIDEOS}
    assert [file.name for file in predictions.parent.iterdir()] == ["predictions.parquet"]


@pytest.mark.ray
def test_relative_places_hold_for_actors_too(hybridal, pool, predictions, tmp_path, ray_cluster, monkeypatch):
    """The actors were started in another folder than this one."""
    monkeypatch.chdir(pool)
    arguments = ("--checkpoint", "checkpoint", "--pool", ".", "--out", "relative.parquet", "--actors", 1)
    code, _, err = hybridal("predict", *arguments)
    assert code == 0, err
    found, expected = (pq.read_table(file).to_pylist() for file in (pool / "relative.parquet", predictions))
    assert found == expected


def test_plain_files_are_predicted_and_rendered(hybridal, pool, tmp_path):
    file = pool / "test-clips-a.mp4"
    arguments = ("--checkpoint", pool / "checkpoint", "--video", file, "--out", tmp_path / "p.parquet")
    code, out, err = hybridal("predict", *arguments, "--render", tmp_path / "seen", "--set", "trim=0.5", "--json")
    told = json.loads(out)
    assert code == 0, err
    assert (told["videos"], told["failed"]) == (1, {})
    assert told["rows"] == len(pq.read_table(tmp_path / "p.parquet"))
    assert [Path(rendered).name for rendered in told["rendered"]] == ["test-clips-a.mp4.mp4"]
    assert Path(told["rendered"][0]).stat().st_size > 0


def test_a_person_is_told_a_line_a_fact(hybridal, pool, tmp_path):
    file, predictions = pool / "test-clips-a.mp4", tmp_path / "p.parquet"
    arguments = ("--checkpoint", pool / "checkpoint", "--video", file, "--out", predictions)
    code, out, err = hybridal("predict", *arguments, "--render", tmp_path / "seen")
    assert code == 0, err
    rows = len(pq.read_table(predictions))
    seen = f"rendered: 1 videos in {tmp_path}/seen"
    assert out.splitlines() == [f"predictions: {predictions}", "videos: 1", f"rows: {rows}", seen]


def test_a_person_is_told_of_each_video_that_failed():
    told = {"predictions": "p.parquet", "videos": 3, "rows": 7, "failed": {"a": "cannot be decoded"}, "rendered": []}
    assert predict._lines(told, None) == [
        "predictions: p.parquet",
        "videos: 3",
        "rows: 7",
        "failed: a: cannot be decoded",
    ]


def evaluated(hybridal, *arguments):
    code, out, err = hybridal("evaluate", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def test_predictions_of_ours_are_evaluated_under_every_convention(hybridal, pool, predictions, tmp_path):
    told = evaluated(hybridal, "--pool", pool, "--predictions", predictions, "--figures", tmp_path / "figures")
    metrics = told["metrics"]
    for convention in ("strict", "act", "multisports", "ava"):
        assert metrics[f"{convention}/frame_map@0.5"] == pytest.approx(1.0)
    # One mask holds both squares: on the half of the frames that have both, red is less than half of it.
    assert metrics["capsnet/frame_map@0.5"] == pytest.approx((0.5 + 1.0) / 2)
    assert metrics["video_map@0.5"] == 1.0
    assert told["analysis"]["errors"]["kinds"]["missed"]["count"] == 0
    names = {"errors.png", "confusion.png", "calibration.png", "breakdowns.png"}
    assert {file.name for file in (tmp_path / "figures").iterdir()} == names
    code, out, _ = hybridal("evaluate", "--pool", pool, "--predictions", predictions)
    assert code == 0
    assert all(word in out for word in ("multisports", "capsnet", "red", "duplicate", "motion", "calibration"))


def test_videos_that_are_missing_or_unreadable_are_told_of(hybridal, pool, predictions, tmp_path):
    known = load_pool(str(pool))
    states = {"test/clips/b": "unreadable", "val/clips/a": "missing"}
    rows = [row | {"status": states.get(row["video_id"], "ok")} for row in known.videos.to_pylist()]
    save_pool(dataclasses.replace(known, root=str(tmp_path), videos=pa.Table.from_pylist(rows, VIDEOS_SCHEMA)))
    told = evaluated(hybridal, "--pool", tmp_path, "--predictions", predictions)["metrics"]
    assert (told["videos"], told["videos_left_out"]) == (1, 1)
    _, out, _ = hybridal("evaluate", "--pool", tmp_path, "--predictions", predictions)
    assert out.startswith("evaluated 1 videos; 1 of the split test are missing or unreadable and left out\n")
    _, out, _ = hybridal("evaluate", "--pool", pool, "--predictions", predictions)
    assert out.startswith("evaluated 2 videos\n")


def test_act_pickles_and_ava_csv_are_evaluated(hybridal, pool, predictions, tmp_path):
    rows = pq.read_table(predictions).to_pylist()
    videos = [f"test/{name}" for name in VIDEOS]
    corners = ("x1", "y1", "x2", "y2")
    boxes = np.array(
        [
            [videos.index(row["video_id"]), row["frame"] + 1, row["class_id"], row["score"], *(row[c] for c in corners)]
            for row in rows
        ]
    )
    (tmp_path / "act.pkl").write_bytes(pickle.dumps(boxes))
    code, _, err = hybridal("evaluate", "--pool", pool, "--predictions", tmp_path / "act.pkl")
    assert code == 2
    assert "expected --order" in err
    (tmp_path / "order.txt").write_text("\n".join(videos))
    ordered = ("--order", tmp_path / "order.txt")
    metrics = evaluated(hybridal, "--pool", pool, "--predictions", tmp_path / "act.pkl", *ordered)["metrics"]
    assert metrics["act/frame_map@0.5"] == pytest.approx(1.0)
    lines = [
        f"{row['video_id']},{row['frame'] + 1},{row['x1'] / 128},{row['y1'] / 96},{row['x2'] / 128},{row['y2'] / 96},"
        f"{row['class_id'] + 1},{row['score']}"
        for row in rows
    ]
    (tmp_path / "ava.csv").write_text("\n".join(lines))
    metrics = evaluated(hybridal, "--pool", pool, "--predictions", tmp_path / "ava.csv")["metrics"]
    assert metrics["ava/frame_map@0.5"] == pytest.approx(1.0)
    as_named = ("--first-frame", "0", "--label-map", tmp_path / "map.csv")
    (tmp_path / "map.csv").write_text("7,red\n3,green\n")
    ids = {1: 7, 2: 3}
    other = [line.split(",") for line in lines]
    renamed = [",".join([f[0], str(int(f[1]) - 1), *f[2:6], str(ids[int(f[6])]), f[7]]) for f in other]
    (tmp_path / "named.csv").write_text("\n".join(renamed))
    metrics = evaluated(hybridal, "--pool", pool, "--predictions", tmp_path / "named.csv", *as_named)["metrics"]
    assert metrics["ava/frame_map@0.5"] == pytest.approx(1.0)
    (tmp_path / "truth.csv").write_text("\n".join(line.rpartition(",")[0] + ",0" for line in lines))
    files = ("--ava-truth", tmp_path / "truth.csv", "--predictions", tmp_path / "ava.csv")
    told = evaluated(hybridal, *files)["metrics"]
    assert told["ava/frame_map@0.5"] == pytest.approx(1.0)
    assert not [name for name in told if name.startswith(("act/", "strict/"))]  # a pixel more means nothing of shares
    assert hybridal("evaluate", *files)[0] == 0


def test_against_avas_own_truth_what_counts_is_what_counts_in_its_program(hybridal, tmp_path):
    """By hand: the best detection lies where nobody is, the next two are right: precision 2/3 at every recall."""
    box = "0.1,0.1,0.5,0.5"
    truth, said, excluded, label_map = (
        tmp_path / name for name in ("truth.csv", "said.csv", "excluded.csv", "map.csv")
    )
    truth.write_text("".join(f"v,{time},{box},{action},0\n" for time in ("0902", "0903") for action in (1, 2)))
    rows = [("0905", 1, 0.99), ("0902", 1, 0.9), ("0903", 1, 0.8)]
    said.write_text("".join(f"v,{time},{box},{action},{score}\n" for time, action, score in rows))
    excluded.write_text("v,0905\n")
    label_map.write_text("1,run\n9,fly\n")
    files = ("--ava-truth", truth, "--predictions", said, "--resamples", 0)
    figure = "ava/frame_map@0.5"
    assert evaluated(hybridal, *files)["metrics"][figure] == pytest.approx((2 / 3 + 0) / 2)
    assert evaluated(hybridal, *files, "--excluded", excluded)["metrics"][figure] == pytest.approx((1 + 0) / 2)
    told = evaluated(hybridal, *files, "--label-map", label_map)["metrics"]
    assert told[figure] == pytest.approx(2 / 3)
    assert told["truth_boxes"] == 2
    assert list(told["per_class"]) == ["run (1)", "fly (9)"]
    label_map.write_text("9,fly\n")
    code, _, err = hybridal("evaluate", *files, "--label-map", label_map)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{truth}: no box is left, expected some of {label_map}" in err


def test_labelled_frames_and_clusters_come_from_files(hybridal, pool, predictions, tmp_path):
    some = [{"video_id": f"test/{name}", "frame": frame} for name in VIDEOS for frame in (0, 9)]
    pq.write_table(pa.Table.from_pylist(some), tmp_path / "labelled.parquet")
    clusters = [{"video_id": f"test/{name}", "cluster": number} for number, name in enumerate(VIDEOS)]
    schema = pa.schema([("video_id", pa.string()), ("cluster", pa.int32())])
    pq.write_table(pa.Table.from_pylist(clusters, schema), tmp_path / "clusters.parquet")
    files = ("--labelled", tmp_path / "labelled.parquet", "--clusters", tmp_path / "clusters.parquet")
    told = evaluated(hybridal, "--pool", pool, "--predictions", predictions, *files)
    assert told["metrics"]["truth_boxes"] == 2 + 2 + 2  # red on both frames of two videos, green on frame 9 of each
    assert [part["name"] for part in told["analysis"]["breakdowns"]["cluster"]] == ["0", "1"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--predictions", "x.parquet"], "either --pool or --ava-truth"),
        (["evaluate", "--predictions", "x.parquet", "--pool", "{pool}"], "no predictions are there"),
        (
            ["evaluate", "--predictions", "x.parquet", "--pool", "{pool}", "--excluded", "x.csv"],
            "--excluded: found x.csv beside --pool, expected it beside --ava-truth alone",
        ),
        (
            ["evaluate", "--predictions", "x.csv", "--ava-truth", "t.csv", "--labelled", "x.parquet"],
            "--labelled: found x.parquet beside --ava-truth, expected it beside --pool alone",
        ),
        (
            ["evaluate", "--predictions", "x.csv", "--ava-truth", "t.csv", "--first-frame", "0"],
            "--first-frame: found 0",
        ),
        (
            ["evaluate", "--predictions", "x.csv", "--ava-truth", "t.csv", "--starts-at", "900"],
            "--starts-at: found 900",
        ),
        (["predict", "--checkpoint", "{pool}/checkpoint", "--out", "p.parquet"], "nothing to detect on"),
        (
            ["predict", "--checkpoint", "c", "--out", "p", "--pool", "{pool}", "--set", "trim=2"],
            "--set trim=2: Input should be less than or equal to 1",
        ),
        (
            ["predict", "--checkpoint", "c", "--out", "p", "--pool", "{pool}", "--split", "train"],
            "no video of split 'train'",
        ),
        (
            ["predict", "--checkpoint", "c", "--out", "p", "--set", "nms_iou=[1"],
            "--set nms_iou=[1: expected ',' or ']'",
        ),
        (["predict", "--checkpoint", "c", "--out", "p", "--set", "nms_iou"], "--set nms_iou: expected FIELD=VALUE"),
        (["predict", "--checkpoint", "c", "--out", "p", "--set", "nms_io=1"], "--set nms_io: no such threshold"),
        (["predict", "--checkpoint", "c", "--out", "p", "--set", "nms_io=1"], "; did you mean 'nms_iou'?"),
        (["predict", "--checkpoint", "c", "--out", "p", "--set", "foo=1"], "expected one of link_iou, mask_threshold"),
    ],
)
def test_what_the_user_can_mend_is_told_in_one_line(hybridal, pool, arguments, message):
    code, _, err = hybridal(*(argument.format(pool=pool) for argument in arguments))
    assert code == 2
    assert message in err
    assert err.startswith("hybridal: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_a_split_that_is_none_is_refused_by_its_option(hybridal, pool, predictions, tmp_path, command):
    arguments = {
        "evaluate": ("--pool", pool, "--predictions", predictions),
        "predict": ("--checkpoint", pool / "checkpoint", "--pool", pool, "--out", tmp_path / "p.parquet"),
        "export": ("act", pool, "--out", tmp_path / "p.pkl"),
    }[command]
    code, _, err = hybridal(command, *arguments, "--split", "tst")
    assert (code, err) == (2, "hybridal: --split: found 'tst', expected one of train, val, test\n")
