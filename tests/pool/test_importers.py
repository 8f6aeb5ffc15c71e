"""Importers of the formats of the field. Oracles: labels worked out by hand from the files' text, the counts that
their authors state, and, for what a tool shows between keyframes, the positions that it wrote down itself."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.act import read_act, read_video_order
from hybridal_ray.pool.formats.annotations import Annotations
from hybridal_ray.pool.formats.ava import Clock, read_ava
from hybridal_ray.pool.formats.label_tables import LabelTables
from hybridal_ray.pool.formats.ucf101_24 import read_ucf101_24
from hybridal_ray.pool.untrusted import unpickle

FACTS = VideoFacts(num_frames=100, fps=25.0, width=320, height=240)


def boxes_of(annotations: Annotations, video_id: str, facts: VideoFacts = FACTS) -> dict[tuple[str, str, int], list]:
    """(tube, class name, frame) to its box."""
    (video,) = [video for video in annotations.videos if video.video_id == video_id]
    tables = LabelTables()
    tables.add(video_id, video.labels(facts), facts)
    return {
        (row["tube_id"], annotations.classes[row["class_id"]], row["frame"]): [row[e] for e in ("x1", "y1", "x2", "y2")]
        for row in tables.tubes().to_pylist()
    }


def looked_at(annotations: Annotations, video_id: str, facts: VideoFacts = FACTS) -> list[int]:
    (video,) = [video for video in annotations.videos if video.video_id == video_id]
    tables = LabelTables()
    tables.add(video_id, video.labels(facts), facts)
    return tables.looked_at()["frame"].to_pylist()


# UCF101-24 -----------------------------------------------------------------------------------------------------------


def pyannot(**changes: object) -> dict:
    tube = {"label": 2, "sf": 3, "ef": 5, "boxes": np.array([[216, 10, 103, 200], [217, 11, 103, 200]], dtype=np.uint8)}
    biking = {"numf": np.uint8(100), "label": 2, "annotations": [tube | changes]}
    diving = {"numf": np.uint16(300), "label": 5, "annotations": []}
    run = {"numf": 9, "label": 5, "annotations": [{"label": 5, "sf": 0, "ef": 1, "boxes": np.ones((1, 4), np.uint16)}]}
    return {"Biking/v_Biking_g01_c01": biking, "Diving/v_Diving_g02_c03": diving, "Diving/v_Diving_g09_c01": run}


def ucf(folder: Path, content: object, tests: str = "Diving/v_Diving_g02_c03.avi 6\n") -> Annotations:
    (folder / "pyannot.pkl").write_bytes(pickle.dumps(content, 2))
    (folder / "testlist01.txt").write_text(tests)
    return read_ucf101_24(str(folder / "pyannot.pkl"), str(folder / "testlist01.txt"))


def test_ucf_boxes_of_bytes_do_not_overflow(tmp_path: Path) -> None:
    found = ucf(tmp_path, pyannot())
    assert found.classes == ("Biking", "Diving")
    assert boxes_of(found, "Biking/v_Biking_g01_c01") == {
        ("0", "Biking", 3): [216, 10, 319, 210],
        ("0", "Biking", 4): [217, 11, 320, 211],
    }
    assert looked_at(found, "Biking/v_Biking_g01_c01") == list(range(100))
    by_id = {video.video_id: video for video in found.videos}
    assert {name: video.split for name, video in by_id.items()} == {
        "Biking/v_Biking_g01_c01": "train",
        "Diving/v_Diving_g02_c03": "test",
        "Diving/v_Diving_g09_c01": "train",
    }
    assert by_id["Biking/v_Biking_g01_c01"].group == "Biking_g01"
    assert by_id["Diving/v_Diving_g02_c03"].claimed == VideoFacts(300, 25.0, 320, 240)


def test_ucf_boxes_fit_videos_coded_again(tmp_path: Path) -> None:
    found = ucf(tmp_path, pyannot())
    box = boxes_of(found, "Biking/v_Biking_g01_c01", VideoFacts(100, 25.0, 340, 256))["0", "Biking", 3]
    np.testing.assert_allclose(box, [216 * 340 / 320, 10 * 256 / 240, 319 * 340 / 320, 210 * 256 / 240], rtol=1e-6)


def test_ucf_boxes_beyond_the_end_are_left_out_and_counted(tmp_path: Path) -> None:
    (video,) = [video for video in ucf(tmp_path, pyannot()).videos if "Biking" in video.video_id]
    facts = VideoFacts(4, 25.0, 320, 240)
    tables = LabelTables()
    tables.add("v", video.labels(facts), facts)
    assert tables.tubes()["frame"].to_pylist() == [3]
    assert tables.notes() == ["1 boxes were left out: they lie beyond the end of their video"]


def test_ucf_of_matlab_says_the_same(tmp_path: Path) -> None:
    from_pickle = ucf(tmp_path, pyannot())
    fields = [("name", object), ("num_imgs", object), ("tubes", object)]
    annot = np.zeros((1, 3), dtype=fields)
    for column, (name, entry) in enumerate(pyannot().items()):
        tubes = np.zeros((1, len(entry["annotations"])), dtype=[(f, object) for f in ("ef", "boxes", "sf", "class")])
        for number, tube in enumerate(entry["annotations"]):
            tubes[0, number] = (
                float(tube["ef"]),
                tube["boxes"].astype(float),
                float(tube["sf"] + 1),
                tube["label"] + 1,
            )
        annot[0, column] = (name, float(entry["numf"]), tubes)
    scipy.io.savemat(tmp_path / "finalAnnots.mat", {"annot": annot})
    from_mat = read_ucf101_24(str(tmp_path / "finalAnnots.mat"), str(tmp_path / "testlist01.txt"))
    assert from_mat.classes == from_pickle.classes
    for video in from_pickle.videos:
        assert boxes_of(from_mat, video.video_id) == boxes_of(from_pickle, video.video_id)
        assert video.claimed == next(v for v in from_mat.videos if v.video_id == video.video_id).claimed


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ([1], "found a list"),
        ({}, "found a dict"),
        (pyannot(ef=9), "'Biking/v_Biking_g01_c01': ValueError: boxes of shape"),
        (pyannot(boxes=np.ones((2, 3))), "boxes of shape"),
        ({"Biking/a": {"numf": 3}}, "'Biking/a': KeyError: 'annotations'"),
    ],
)
def test_ucf_files_that_are_malformed_are_refused_by_place(tmp_path: Path, content: object, why: str) -> None:
    with pytest.raises(UserError, match=why):
        ucf(tmp_path, content, tests="")


def test_ucf_lists_of_strangers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"1 videos, such as 'Surfing/v_x', are not annotated"):
        ucf(tmp_path, pyannot(), tests="Surfing/v_x\n")


def test_ucf_lists_without_a_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"testlist01\.txt: names no video, expected the test videos"):
        ucf(tmp_path, pyannot(), tests=" \n\n")


@pytest.mark.data
def test_ucf_counts_are_those_of_its_authors(hybridal_data: Path) -> None:
    folder = hybridal_data / "ucf101_24"
    found = read_ucf101_24(str(folder / "pyannot.pkl"), str(folder / "testlist01.txt"))
    train = [video for video in found.videos if video.split == "train"]
    tables = LabelTables()
    for video in train:
        assert video.claimed is not None
        tables.add(video.video_id, video.labels(video.claimed), video.claimed)
    assert len(found.classes) == 24
    assert (len(train), len(found.videos) - len(train)) == (2284, 901)
    assert len(tables.tubes()) == 403_282
    assert not tables.left_out
    table = tables.tubes()
    raw = unpickle(str(folder / "pyannot.pkl"))
    small = [t["boxes"] for v in raw.values() for t in v["annotations"] if t["boxes"].dtype == np.uint8]
    assert sum(bool((b[:, 0] + b[:, 2] < b[:, 0]).any() or (b[:, 1] + b[:, 3] < b[:, 1]).any()) for b in small) == 1438
    assert max(table["x2"].to_pylist()) <= 320
    assert max(table["y2"].to_pylist()) <= 240


# ACT, MOC, MultiSports -----------------------------------------------------------------------------------------------


def ground_truth(**changes: object) -> dict:
    tube = np.array([[1, 10, 20, 30, 40], [2, 11, 21, 31, 41]], dtype=np.float32)
    return {
        "labels": ["run", "sit"],
        "train_videos": [["a/1"], ["a/2"]],
        "test_videos": [["a/2"], ["a/1"]],
        "nframes": {"a/1": 100, "a/2": 5},
        "resolution": {"a/1": (240, 320), "a/2": (240, 320)},
        "gttubes": {"a/1": {1: [tube, tube + np.array([0, 50, 0, 50, 0])]}, "a/2": {0: [tube]}},
    } | changes


def act(folder: Path, content: object, **options: object) -> Annotations:
    (folder / "gt.pkl").write_bytes(pickle.dumps(content, 2))
    return read_act(str(folder / "gt.pkl"), **options)


def test_act_frames_count_from_1(tmp_path: Path) -> None:
    found = act(tmp_path, ground_truth())
    assert boxes_of(found, "a/1") == {
        ("0", "sit", 0): [10, 20, 30, 40],
        ("0", "sit", 1): [11, 21, 31, 41],
        ("1", "sit", 0): [60, 20, 80, 40],
        ("1", "sit", 1): [61, 21, 81, 41],
    }
    assert {video.video_id: video.split for video in found.videos} == {"a/1": "train", "a/2": "test"}
    assert {v.video_id: v.split for v in act(tmp_path, ground_truth(), split=2).videos} == {
        "a/1": "test",
        "a/2": "train",
    }


def test_act_frames_count_from_0_where_one_is_0(tmp_path: Path) -> None:
    from_0 = {"a/1": {1: [np.array([[0, 1, 2, 3, 4]])]}}
    found = act(tmp_path, ground_truth(gttubes=from_0))
    assert boxes_of(found, "a/1") == {("0", "sit", 0): [1, 2, 3, 4]}
    assert boxes_of(act(tmp_path, ground_truth(), first_frame=0), "a/2", FACTS).keys() == {
        ("0", "run", 1),
        ("0", "run", 2),
    }


def test_act_boxes_fit_videos_coded_again(tmp_path: Path) -> None:
    box = boxes_of(act(tmp_path, ground_truth()), "a/1", VideoFacts(100, 25.0, 640, 120))["0", "sit", 0]
    assert box == [20, 10, 60, 20]
    for unknown in ((0, 0), (0, 320), (240, 0)):
        content = ground_truth(resolution=dict.fromkeys(["a/1", "a/2"], unknown))
        assert boxes_of(act(tmp_path, content), "a/1")["0", "sit", 0] == [10, 20, 30, 40]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"labels": None}, "labels is a NoneType, expected a list"),
        ({"train_videos": [], "test_videos": []}, "neither train_videos nor test_videos"),
        ({"gttubes": {"a/1": {7: []}}}, "'a/1': class 7, expected 0 to 1"),
        ({"gttubes": {"a/1": {0: [np.ones((2, 4))]}}}, "'a/1': a tube of shape"),
        ({"gttubes": {"a/1": {0: [np.full((2, 5), np.nan)]}}}, "'a/1': a tube holds a number"),
        ({"gttubes": {"a/1": 3}}, "'a/1' is a int"),
        ({"resolution": {}}, "nframes or resolution of 'a/1'"),
        ({"resolution": {"a/1": 3, "a/2": 3}}, "nframes or resolution of 'a/1'"),
        ({"gttubes": {"a/1": {0: [], "run": []}}}, "'a/1': class 'run', expected 0 to 1"),
        ({"gttubes": [1]}, "gttubes is a list, expected a dict"),
        ({"gttubes": {"a/1": {0: 5}}}, "gttubes of 'a/1': class 0 is a int, expected a list of tubes"),
        ({"gttubes": {"a/1": {0: [[[1, 2, 3, 4, 5], [1, 2, 3]]]}}}, r"gttubes of 'a/1': a tube is no array \(N, 5\)"),
        ({"train_videos": {"v": 1}}, "train_videos is {'v': 1}, expected a list of videos"),
        ({"train_videos": [["a/1"], 5]}, r"train_videos is \[\['a/1'\], 5\], expected a list of videos"),
        ({"labelled_frames": [1]}, "labelled_frames is a list, expected frames by video"),
        ({"labelled_frames": {"a/1": ["x"]}}, "labelled_frames of 'a/1': expected numbers of frames"),
        ({"labelled_frames": {"a/1": [[1, 2], [3]]}}, "labelled_frames of 'a/1': expected numbers of frames"),
    ],
)
def test_act_files_that_are_malformed_are_refused_by_place(tmp_path: Path, changes: dict, why: str) -> None:
    with pytest.raises(UserError, match=why):
        act(tmp_path, ground_truth(**changes))


def test_act_has_only_the_splits_it_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds 2 splits, split 3"):
        act(tmp_path, ground_truth(), split=3)


@pytest.mark.data
def test_act_of_multisports(hybridal_data: Path) -> None:
    found = read_act(str(hybridal_data / "ava_multisports_format_samples/eval_multisports_gt.pkl"))
    (video,) = found.videos
    assert len(found.classes) == 66
    assert (video.split, video.claimed) == ("test", VideoFacts(725, 0.0, 1280, 720))
    boxes = boxes_of(found, video.video_id, video.claimed)
    assert len(boxes) == 2 * (21 + 26 + 23 + 42)
    assert boxes["2", found.classes[10], 287] == [562, 361, 656, 600]


# AVA and MultiSports' csv --------------------------------------------------------------------------------------------

ROWS = """v1,0002,0.1,0.2,0.5,0.6,12,0
v1,0002,0.1,0.2,0.5,0.6,80,0
v1,0003,0.1,0.2,0.5,1.0,80,1
v1,0004,,,,,,
v1,0001,0.1,0.2,0.5,0.6,12,0
"""


def ava(folder: Path, text: str = ROWS, **options: object) -> Annotations:
    (folder / "train.csv").write_text(text)
    return read_ava({"train": str(folder / "train.csv")}, **options)


def test_ava_actions_of_one_person_share_a_tube(tmp_path: Path) -> None:
    found = boxes_of(ava(tmp_path), "v1")
    box = pytest.approx([32, 48, 160, 144])
    assert found == {
        ("0", "12", 25): box,
        ("0", "12", 50): box,
        ("0", "80", 50): box,
        ("1", "80", 75): pytest.approx([32, 48, 160, 240]),
    }


def test_ava_frames_are_labelled_where_there_is_a_row(tmp_path: Path) -> None:
    facts = VideoFacts(200, 25.0, 320, 240)
    assert looked_at(ava(tmp_path), "v1", facts) == [25, 50, 75, 100]


def test_files_that_begin_with_a_mark_of_their_encoding_say_the_same(tmp_path: Path) -> None:
    """As programs on Windows save them. Oracle: the same files without the mark."""
    mark = "\ufeff"
    plain, marked = ava(tmp_path), ava(tmp_path, mark + ROWS)
    assert [video.video_id for video in marked.videos] == [video.video_id for video in plain.videos] == ["v1"]
    (tmp_path / "excluded.csv").write_text(mark + "v1,0002\n")
    (tmp_path / "map.csv").write_text(mark + "12,stand\n80,talk\n")
    options = {"excluded": [str(tmp_path / "excluded.csv")], "label_map": str(tmp_path / "map.csv")}
    assert {frame for _, _, frame in boxes_of(ava(tmp_path, **options), "v1")} == {25, 75}
    found = ucf(tmp_path, pyannot(), tests=mark + "Diving/v_Diving_g02_c03.avi 6\n")
    assert {video.video_id for video in found.videos if video.split == "test"} == {"Diving/v_Diving_g02_c03"}
    (tmp_path / "order.txt").write_text(mark + "a/2.mp4\na/1.mp4\n")
    assert read_video_order(str(tmp_path / "order.txt")) == ["a/2", "a/1"]


def test_ava_excluded_seconds_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "excluded.csv").write_text("v1,0002\nv2,0003\n")
    found = ava(tmp_path, excluded=[str(tmp_path / "excluded.csv")])
    assert {frame for _, _, frame in boxes_of(found, "v1")} == {25, 75}
    assert 50 not in looked_at(found, "v1")


def test_ava_actions_have_names(tmp_path: Path) -> None:
    (tmp_path / "map.pbtxt").write_text('item {\n name: "stand"\n id: 12\n}\nitem { name: "talk" id: 80 }')
    assert ava(tmp_path, label_map=str(tmp_path / "map.pbtxt")).classes == ("stand", "talk")
    (tmp_path / "map.csv").write_text("label_id,label_name\n12,stand\n79,watch\n80,watch\n")
    assert ava(tmp_path, label_map=str(tmp_path / "map.csv")).classes == ("stand", "watch (79)", "watch (80)")
    (tmp_path / "map.csv").write_text("12,stand\n")
    with pytest.raises(UserError, match="does not name action 80"):
        ava(tmp_path, label_map=str(tmp_path / "map.csv"))


def test_ava_clips_may_start_late_and_multisports_counts_frames(tmp_path: Path) -> None:
    rows = "v1.mp4,0902,0.1,0.2,0.5,0.6,1,0\n"
    assert boxes_of(ava(tmp_path, rows, clock=Clock("seconds", 900)), "v1").keys() == {("0", "1", 50)}
    rows = "v1.mp4,17,0.1,0.2,0.5,0.6,1,0\n"
    counted = ava(tmp_path, rows, clock=Clock("frames", 1))
    assert boxes_of(counted, "v1").keys() == {("0", "1", 16)}
    assert (counted.by_time, ava(tmp_path, rows).by_time) == (False, True)


def test_ava_of_a_video_without_frame_rate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="v1: states no frame rate"):
        boxes_of(ava(tmp_path), "v1", VideoFacts(100, 0.0, 320, 240))


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("v,1,0.1,0.2,0.5", "line 2 has 5 columns"),
        ("v,1,0.1,0.2,0.5,x,1,0", "line 2: could not convert"),
        ("v,1,0.1,0.2,0.5,6,1,0", "line 2: a box of"),
        ("v,1,0.1,0.2,0.5,nan,1,0", "line 2: a box of"),
        ("v,inf,0.1,0.2,0.5,0.6,1,0", "line 2: timestamp 'inf'"),
        ('v,1,"0.1', "line 2 has 3 columns|not a readable csv"),
    ],
)
def test_ava_lines_that_are_malformed_are_refused_by_place(tmp_path: Path, line: str, why: str) -> None:
    with pytest.raises(UserError, match=f"train.csv: {why}"):
        ava(tmp_path, ROWS.splitlines()[0] + "\n" + line + "\n")


def test_ava_videos_are_in_one_split(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ROWS)
    with pytest.raises(UserError, match="'v1' is in train too"):
        read_ava({"train": str(tmp_path / "a.csv"), "val": str(tmp_path / "a.csv")})


@pytest.mark.data
def test_ava_of_the_real_samples(hybridal_data: Path) -> None:
    folder = hybridal_data / "ava_multisports_format_samples"
    found = read_ava(
        {"train": str(folder / "ava_dataset_ava_sample.csv")},
        label_map=str(folder / "ava_dataset_action_list.txt"),
        excluded=[str(folder / "ava_dataset_ava_excluded_timestamps_sample.csv")],
    )
    assert found.classes == ("action1", "action2", "action3 (79)", "action3 (80)")
    facts = VideoFacts(30_000, 30.0, 640, 360)
    boxes = boxes_of(found, "0f39OWEqJ24", facts)
    assert set(boxes) == {("0", name, 902 * 30) for name in ("action1", "action2", "action3 (79)")}
    np.testing.assert_allclose(boxes["0", "action1", 27060], [0.031 * 640, 0.162 * 360, 0.67 * 640, 0.995 * 360], 1e-5)
    assert boxes_of(found, "_-Z6wFjXtGQ", facts) == {}  # its only second is excluded
    multisports = read_ava(
        {"train": str(folder / "multisports_dataset_multisports_sample.csv")}, clock=Clock("frames", 1)
    )
    assert {frame for _, _, frame in boxes_of(multisports, "aerobic_gymnastics/v_aqMgwPExjD0_c001", facts)} == {
        376, 377, 378, 379,
    }  # fmt: skip


def test_messages_of_json_name_their_file(tmp_path: Path) -> None:
    (tmp_path / "gt.pkl").write_bytes(json.dumps({}).encode())
    with pytest.raises(UserError, match=r"gt\.pkl"):
        read_act(str(tmp_path / "gt.pkl"))
