"""Exports. Oracle: importing what was exported gives the labels back, as far as the format can hold them."""

import csv
import pickle
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.exports.act import export_act
from hybridal_ray.pool.exports.ava import MAP_SUFFIX, export_ava
from hybridal_ray.pool.exports.cvat import export_cvat
from hybridal_ray.pool.exports.exporting import Exported
from hybridal_ray.pool.exports.label_studio import export_label_studio
from hybridal_ray.pool.formats.act import read_act
from hybridal_ray.pool.formats.annotations import Annotations
from hybridal_ray.pool.formats.ava import read_ava
from hybridal_ray.pool.formats.cvat import read_cvat
from hybridal_ray.pool.formats.label_studio import read_label_studio
from hybridal_ray.pool.formats.label_tables import LabelTables
from hybridal_ray.pool.formats.ucf101_24 import read_ucf101_24
from hybridal_ray.pool.masks import box_of_mask, encode_mask
from hybridal_ray.pool.tables import LABELLED_FRAMES_SCHEMA, TUBES_SCHEMA, VIDEOS_SCHEMA, Pool

LENGTH, WIDTH, HEIGHT, FPS = 40, 64, 48, 30_000 / 1001
FACTS = VideoFacts(LENGTH, FPS, WIDTH, HEIGHT)
CLASSES = ("run", "sit & wait", "<wave>", 'driver\'s "left\\right" {turn} id: 7')

Label = tuple[str, str, str, int]  # video, tube, class, frame


@st.composite
def boxes(draw: st.DrawFn) -> tuple[float, float, float, float]:
    x1, x2 = sorted(draw(st.lists(st.floats(0, WIDTH, width=32), min_size=2, max_size=2, unique=True)))
    y1, y2 = sorted(draw(st.lists(st.floats(0, HEIGHT, width=32), min_size=2, max_size=2, unique=True)))
    if x2 - x1 < 0.01 or y2 - y1 < 0.01:
        return 0.0, 0.0, max(x2, 1.0), max(y2, 1.0)  # of a size that a percentage can tell
    return x1, y1, x2, y2


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:
    pixels = np.zeros((HEIGHT, WIDTH), dtype=bool)
    for _ in range(draw(st.integers(1, 3))):
        x, y = draw(st.integers(0, WIDTH - 5)), draw(st.integers(0, HEIGHT - 5))
        pixels[y : y + draw(st.integers(1, 5)), x : x + draw(st.integers(1, 5))] = True
    return pixels


@st.composite
def pools(draw: st.DrawFn, *, with_masks: bool = False) -> Pool:
    """One or two videos, tubes with gaps, several classes of one actor, labelled frames without anyone."""
    videos, tubes, frames = [], [], []
    for video_id in ["one", "two/3"][: draw(st.integers(1, 2))]:
        videos.append(
            {
                "video_id": video_id,
                "uri": f"/data/{video_id}.mp4",
                "split": draw(st.sampled_from(["train", "test"])),
                "group": video_id,
                "num_frames": LENGTH,
                "fps": FPS,
                "width": WIDTH,
                "height": HEIGHT,
                "status": "ok",
                "reason": None,
            }
        )
        labelled = draw(st.sets(st.integers(0, LENGTH - 1), min_size=1, max_size=6))
        for tube_id in ["a", "b7"][: draw(st.integers(0, 2))]:
            for frame in draw(st.sets(st.integers(0, LENGTH - 1), min_size=1, max_size=8)):
                mask = draw(masks()) if with_masks else None
                box = draw(boxes()) if mask is None else box_of_mask(mask)
                assert box is not None
                labelled.add(frame)
                for class_id in draw(st.sets(st.integers(0, len(CLASSES) - 1), min_size=1, max_size=2)):
                    row = dict(zip(("x1", "y1", "x2", "y2"), box, strict=True))
                    row |= {"mask": None if mask is None else encode_mask(mask), "tube_id": tube_id}
                    tubes.append({"video_id": video_id, "class_id": class_id, "frame": frame, **row})
        frames += [{"video_id": video_id, "frame": frame} for frame in sorted(labelled)]
    return Pool(
        "pool",
        "made",
        CLASSES,
        pa.Table.from_pylist(videos, VIDEOS_SCHEMA),
        pa.Table.from_pylist(tubes, TUBES_SCHEMA),
        pa.Table.from_pylist(frames, LABELLED_FRAMES_SCHEMA),
    )


def held(pool: Pool) -> tuple[dict[Label, tuple], set[tuple[str, int]]]:
    """Boxes with masks, and labelled frames, of a pool."""
    assert pool.looked_at is not None
    labels = {
        (r["video_id"], r["tube_id"], pool.classes[r["class_id"]], r["frame"]): (
            r["x1"],
            r["y1"],
            r["x2"],
            r["y2"],
            r["mask"],
        )
        for r in pool.tubes.to_pylist()
    }
    return labels, {(row["video_id"], row["frame"]) for row in pool.looked_at.to_pylist()}


def given_back(annotations: Annotations, facts: dict[str, VideoFacts] | None = None) -> tuple[dict, set]:
    tables = LabelTables()
    for video in annotations.videos:
        of_video = FACTS if facts is None else facts[video.video_id]
        tables.add(video.video_id, video.labels(of_video), of_video)
    assert not tables.left_out
    none = pa.Table.from_pylist([], VIDEOS_SCHEMA)
    return held(Pool("", "", annotations.classes, none, tables.tubes(), tables.looked_at()))


def unnamed(labels: dict[Label, tuple]) -> list:
    """The boxes of each track, whatever its name; an actor that does two things is two tracks."""
    tracks: dict[tuple[str, str, str], list] = {}
    for (video, tube, name, frame), box in labels.items():
        tracks.setdefault((video, tube, name), []).append((frame, box))
    return sorted((video, name, sorted(rows)) for (video, _, name), rows in tracks.items())


def folder(factory: pytest.TempPathFactory, name: str) -> str:
    return str(factory.mktemp("export") / name)


def same_boxes(found: dict[Label, tuple], expected: dict[Label, tuple]) -> None:
    assert found.keys() == expected.keys()
    for label, box in expected.items():
        np.testing.assert_allclose(found[label][:4], box[:4], rtol=1e-6, atol=2e-5)
        assert found[label][4] == box[4]


def read_folder(location: str) -> Annotations:
    """All files of a folder and of those in it, as one set."""
    sets = [read_cvat(str(file)) for file in sorted(Path(location).rglob("*.xml"))]
    assert len({one.classes for one in sets}) == 1
    return Annotations(sets[0].classes, [video for one in sets for video in one.videos])


@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_cvat_holds_boxes_tubes_and_labelled_frames(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> None:
    out = folder(tmp_path_factory, "xml")
    assert export_cvat(pool, out) == Exported(len(pool.videos), 0)
    found, expected = given_back(read_folder(out)), held(pool)
    assert found == expected


@settings(max_examples=40, deadline=None)
@given(pool=pools(with_masks=True))
def test_cvat_holds_masks(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> None:
    out = folder(tmp_path_factory, "xml")
    export_cvat(pool, out)
    assert given_back(read_folder(out)) == held(pool)


@pytest.mark.parametrize(
    ("export", "left_out"), [(export_cvat, 1), (export_label_studio, 3), (export_act, 3), (export_ava, 3)]
)
def test_masks_that_are_left_out_are_counted(tmp_path: Path, export: Callable, left_out: int) -> None:
    """Of three masks one has a box that is not the one around it, which CVAT cannot hold; the others hold none."""
    pool = small_pool()
    pixels = np.zeros((HEIGHT, WIDTH), dtype=bool)
    pixels[5:25, 4:14] = True
    masks = [encode_mask(pixels), encode_mask(pixels), encode_mask(np.roll(pixels, 1, axis=0))]
    tubes = pool.tubes.set_column(8, TUBES_SCHEMA.field(8), pa.array(masks, pa.string()))
    masked = Pool("pool", "made", CLASSES, pool.videos, tubes)
    assert export(masked, str(tmp_path / "out"), None) == Exported(1, left_out)
    assert export(pool, str(tmp_path / "out"), None) == Exported(1, 0)


@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_label_studio_holds_boxes_tubes_and_labelled_frames(
    tmp_path_factory: pytest.TempPathFactory, pool: Pool
) -> None:
    out = folder(tmp_path_factory, "labels.json")
    export_label_studio(pool, out)
    annotations = read_label_studio(out)
    assert annotations.classes == CLASSES
    found, expected = given_back(annotations), held(pool)
    same_boxes(found[0], expected[0])
    assert found[1] == expected[1]


@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_act_holds_boxes_and_labelled_frames_but_no_names(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> None:
    out = folder(tmp_path_factory, "gt.pkl")
    export_act(pool, out)
    annotations = read_act(out)
    assert annotations.classes == CLASSES
    found, expected = given_back(annotations), held(pool)
    assert unnamed(found[0]) == unnamed(expected[0])
    assert found[1] == expected[1]
    splits = {row["video_id"]: row["split"] for row in pool.videos.to_pylist()}
    assert {video.video_id: video.split for video in annotations.videos} == splits


@settings(max_examples=60, deadline=None)
@given(pool=pools())
def test_ava_holds_boxes_tubes_and_labelled_frames(tmp_path_factory: pytest.TempPathFactory, pool: Pool) -> None:
    out = folder(tmp_path_factory, "labels.csv")
    export_ava(pool, out)
    annotations = read_ava({"train": out}, label_map=out + MAP_SUFFIX)
    assert annotations.classes == CLASSES
    found, expected = given_back(annotations), held(pool)
    same_boxes(found[0], expected[0])
    assert found[1] == expected[1]


def small_pool(**video: object) -> Pool:
    row = {
        "video_id": "v",
        "uri": "v.mp4",
        "split": "train",
        "group": "v",
        "num_frames": LENGTH,
        "fps": FPS,
        "width": WIDTH,
        "height": HEIGHT,
        "status": "ok",
        "reason": None,
    }
    box = {"video_id": "v", "tube_id": "a", "class_id": 1, "x1": 4.0, "y1": 5.0, "x2": 14.0, "y2": 25.0, "mask": None}
    tubes = [box | {"frame": frame} for frame in (3, 4, 9)]
    videos = pa.Table.from_pylist([row | video], VIDEOS_SCHEMA)
    return Pool("pool", "made", CLASSES, videos, pa.Table.from_pylist(tubes, TUBES_SCHEMA))


def test_cvat_reads_back_just_the_boxes_it_is_given(tmp_path: Path) -> None:
    """CVAT interpolates between keyframes: after each run of boxes an ``outside`` one must end it."""
    export_cvat(small_pool(), str(tmp_path))
    (track,) = ElementTree.parse(tmp_path / "v.xml").getroot().findall("track")
    assert track.get("label") == "sit & wait"
    written = [(int(b.get("frame", "")), b.get("outside"), b.get("keyframe")) for b in track]
    assert written == [(3, "0", "1"), (4, "0", "1"), (5, "1", "1"), (9, "0", "1"), (10, "1", "1")]


def test_act_counts_frames_from_1_in_float32(tmp_path: Path) -> None:
    export_act(small_pool(), str(tmp_path / "gt.pkl"))
    content = pickle.loads((tmp_path / "gt.pkl").read_bytes())
    (tube,) = content["gttubes"]["v"][1]
    assert tube.tolist() == [[4, 4, 5, 14, 25], [5, 4, 5, 14, 25], [10, 4, 5, 14, 25]]
    assert content["resolution"] == {"v": (HEIGHT, WIDTH)}
    assert content["train_videos"] == [["v"]]


def test_ava_is_in_seconds_and_parts_of_the_picture(tmp_path: Path) -> None:
    export_ava(small_pool(fps=10.0), str(tmp_path / "a.csv"))
    with (tmp_path / "a.csv").open() as file:
        first = next(csv.reader(file))
    assert first[:2] == ["v", "0.3"]
    np.testing.assert_allclose([float(part) for part in first[2:6]], [4 / 64, 5 / 48, 14 / 64, 25 / 48])
    assert first[6:] == ["2", "a"]


@pytest.mark.parametrize(
    ("export", "video", "why"),
    [
        (export_ava, {"fps": 0.0}, "v: states no frame rate"),
        (export_label_studio, {"fps": 0.0}, "v: states no frame rate"),
        (export_ava, {"width": 0}, "v: width and height are not known"),
        (export_label_studio, {"width": 0}, "v: width and height are not known"),
        (export_act, {"height": 0}, "v: width and height are not known"),
        (export_cvat, {"split": "val"}, "no labels in its split 'train'"),
    ],
)
def test_what_a_format_needs_and_a_pool_lacks_is_told(tmp_path: Path, export: Callable, video: dict, why: str) -> None:
    with pytest.raises(UserError, match=why):
        export(small_pool(**video), str(tmp_path / "out"), "train" if "split" in video else None)


def test_an_id_that_climbs_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    pool = small_pool(video_id="../v")
    tubes = pool.tubes.set_column(0, "video_id", pa.array(["../v"] * 3))
    with pytest.raises(UserError, match="expected a path that stays inside"):
        export_cvat(Pool("p", "n", CLASSES, pool.videos, tubes), str(tmp_path / "out"))


def pool_of(annotations: Annotations, fps: float) -> tuple[Pool, dict[str, VideoFacts]]:
    tables, rows, facts = LabelTables(), [], {}
    for video in annotations.videos:
        claimed = video.claimed or VideoFacts(1259, fps, 1280, 720)
        facts[video.video_id] = claimed = VideoFacts(claimed.num_frames, fps, claimed.width, claimed.height)
        tables.add(video.video_id, video.labels(claimed), claimed)
        rows.append(
            {
                "video_id": video.video_id,
                "uri": f"{video.video_id}.avi",
                "split": video.split,
                "group": "",
                "status": "ok",
                "reason": None,
                "num_frames": claimed.num_frames,
                "fps": claimed.fps,
                "width": claimed.width,
                "height": claimed.height,
            }
        )
    videos = pa.Table.from_pylist(rows, VIDEOS_SCHEMA)
    return Pool("pool", "real", annotations.classes, videos, tables.tubes(), tables.looked_at()), facts


def thinned(annotations: Annotations) -> Annotations:
    return Annotations(annotations.classes, list(annotations.videos)[::40])


@pytest.mark.data
@pytest.mark.parametrize("source", ["ucf101_24", "multisports", "jaad", "opossum"])
def test_real_labels_go_through_every_format_unchanged(hybridal_data: Path, tmp_path: Path, source: str) -> None:
    samples = hybridal_data / "ava_multisports_format_samples"
    annotations = {
        "ucf101_24": lambda: thinned(
            read_ucf101_24(
                str(hybridal_data / "ucf101_24/pyannot.pkl"), str(hybridal_data / "ucf101_24/testlist01.txt")
            )
        ),
        "multisports": lambda: read_act(str(samples / "eval_multisports_gt.pkl")),
        "jaad": lambda: read_cvat(str(hybridal_data / "jaad_cvat")),
        "opossum": lambda: read_label_studio(str(hybridal_data / "labelstudio_opossum/video_bboxes_annotation_1.json")),
    }[source]()
    pool, facts = pool_of(annotations, 25.0)
    expected = held(pool)
    assert len(expected[0]) > 200
    export_cvat(pool, str(tmp_path / "xml"))
    assert given_back(read_folder(str(tmp_path / "xml")), facts) == expected
    export_act(pool, str(tmp_path / "gt.pkl"))
    found = given_back(read_act(str(tmp_path / "gt.pkl")), facts)
    assert (unnamed(found[0]), found[1]) == (unnamed(expected[0]), expected[1])
    export_label_studio(pool, str(tmp_path / "labels.json"))
    found = given_back(read_label_studio(str(tmp_path / "labels.json")), facts)
    assert found[0].keys() == expected[0].keys()
    largest = max(
        abs(a - b) for label in expected[0] for a, b in zip(found[0][label][:4], expected[0][label][:4], strict=True)
    )
    assert largest < 1e-3
    if source != "opossum":  # its boxes reach beyond the picture, which AVA cannot hold
        export_ava(pool, str(tmp_path / "labels.csv"))
        found = given_back(read_ava({"train": str(tmp_path / "labels.csv")}), facts)
        assert len(found[0]) == len(expected[0])
        assert found[1] == expected[1]
