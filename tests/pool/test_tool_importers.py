"""Importers of annotation tools. Oracles: positions worked out by hand, and those that the tools wrote down."""

import json
import tracemalloc
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from test_importers import boxes_of, looked_at

from hybridal_ray.errors import UserError
from hybridal_ray.pool.decoding import VideoFacts
from hybridal_ray.pool.formats.annotations import Annotations
from hybridal_ray.pool.formats.cvat import read_cvat
from hybridal_ray.pool.formats.keyframes import Keyframes
from hybridal_ray.pool.formats.label_studio import read_label_studio
from hybridal_ray.pool.formats.label_tables import LabelTables
from hybridal_ray.pool.formats.rotated import around
from hybridal_ray.pool.masks import decode_mask

FACTS = VideoFacts(num_frames=30, fps=30.0, width=100, height=50)


def box(frame: int, x: float = 0, outside: int = 0, inner: str = "", **more: object) -> str:
    extra = "".join(f' {name}="{value}"' for name, value in more.items())
    edges = f'xtl="{x}" ytl="1" xbr="{x + 10}" ybr="11"'
    return f'<box frame="{frame}" outside="{outside}" {edges}{extra}>{inner}</box>'


def cvat(folder: Path, tracks: str, task: str = "<size>30</size>", **options: object) -> Annotations:
    labels = "<labels><label><name>run</name></label><label><name>sit</name></label></labels>"
    task = f"<task>{task}{labels}<source>v.mp4</source></task>"
    (folder / "labels.xml").write_text(f"<annotations><meta>{task}</meta>{tracks}</annotations>")
    return read_cvat(str(folder / "labels.xml"), **options)


def places(annotations: Annotations, facts: VideoFacts = FACTS) -> dict[int, float]:
    """Frame to left edge, of a video with one tube."""
    return {frame: found[0] for (_, _, frame), found in boxes_of(annotations, "v", facts).items()}


def test_cvat_moves_linearly_between_keyframes_and_holds_the_last_to_the_end(tmp_path: Path) -> None:
    found = cvat(tmp_path, f'<track id="4" label="sit">{box(2, 0)}{box(6, 8)}</track>')
    assert places(found) == {2: 0, 3: 2, 4: 4, 5: 6, **dict.fromkeys(range(6, 30), 8)}
    assert boxes_of(found, "v", FACTS)["4", "sit", 2] == [0, 1, 10, 11]
    assert looked_at(found, "v", FACTS) == list(range(30))


def test_cvat_outside_is_absent_from_that_frame_on(tmp_path: Path) -> None:
    found = cvat(tmp_path, f'<track label="sit">{box(2)}{box(5, outside=1)}{box(9)}{box(12, outside=1)}</track>')
    assert sorted(places(found)) == [2, 3, 4, 9, 10, 11]


def test_cvat_tasks_may_start_late_and_step(tmp_path: Path) -> None:
    task = "<size>4</size><start_frame>10</start_frame><stop_frame>19</stop_frame><frame_filter>step=3</frame_filter>"
    found = cvat(tmp_path, f'<track id="0" label="run">{box(10, 0)}{box(16, 6)}{box(19, 7, outside=1)}</track>', task)
    assert places(found) == {10: 0, 13: 3, 16: 6}
    assert looked_at(found, "v", FACTS) == [10, 13, 16, 19]


def test_cvat_tracks_that_are_spelled_out_keep_their_holes(tmp_path: Path) -> None:
    shapes = "".join(box(frame, frame) for frame in [*range(3, 8), *range(15, 20)])
    spelled = f'<track label="run">{shapes}</track>'
    assert sorted(places(cvat(tmp_path, spelled))) == [*range(3, 8), *range(15, 20)]
    assert sorted(places(cvat(tmp_path, spelled, interpolate="always"))) == list(range(3, 30))
    sparse = f'<track label="run">{box(3)}{box(9)}</track>'
    assert sorted(places(cvat(tmp_path, sparse, interpolate="never"))) == [3, 9]


def test_cvat_tracks_without_ids_are_told_apart(tmp_path: Path) -> None:
    found = cvat(tmp_path, f'<track label="run">{box(29)}</track><track label="run">{box(29, 5)}</track>')
    assert {tube for tube, _, _ in boxes_of(found, "v", FACTS)} == {"0", "1"}
    found = cvat(tmp_path, f'<track id="3" label="run">{box(29)}</track><track id="3" label="run">{box(29, 5)}</track>')
    assert len({tube for tube, _, _ in boxes_of(found, "v", FACTS)}) == 2


def test_cvat_actions_may_be_an_attribute_that_changes(tmp_path: Path) -> None:
    def doing(action: str) -> str:
        return f'<attribute name="action">{action}</attribute>'

    shapes = box(1, inner=doing("stand")) + box(2, inner=doing("stand")) + box(3, inner=doing("walk"))
    found = cvat(tmp_path, f'<track label="run">{shapes}</track>', class_attribute="action")
    assert set(boxes_of(found, "v", FACTS)) == {("0", "stand", 1), ("0", "stand", 2), ("0", "walk", 3)}


def test_cvat_an_attribute_that_no_box_has_is_refused_with_those_there_are(tmp_path: Path) -> None:
    inner = '<attribute name="action">walk</attribute><attribute name="age">9</attribute>'
    message = r"--class-attribute: no box or mask of .*labels\.xml has an attribute 'actoin'; "
    with pytest.raises(UserError, match=message + "expected one of action, age; did you mean 'action'"):
        cvat(tmp_path, f'<track label="run">{box(1, inner=inner)}</track>', class_attribute="actoin")
    with pytest.raises(UserError, match=message + "they have none at all"):
        cvat(tmp_path, f'<track label="run">{box(1)}</track>', class_attribute="actoin")
    assert len(cvat(tmp_path, "", class_attribute="actoin").videos) == 1  # nobody is there, doing anything


def test_cvat_masks_are_read_row_by_row(tmp_path: Path) -> None:
    mask = '<mask frame="29" outside="0" rle="1, 2, 3" left="4" top="5" width="3" height="2"/>'
    found = cvat(tmp_path, f'<track label="run">{mask}</track>')
    (video,) = found.videos
    (tube,) = video.labels(FACTS).tubes
    expected = np.zeros((50, 100), dtype=bool)
    expected[5, 5:7] = True
    assert tube.masks[0] is not None
    np.testing.assert_array_equal(decode_mask(tube.masks[0], 50, 100), expected)
    assert tube.boxes.tolist() == [[5, 5, 7, 6]]


def test_cvat_masks_hold_until_the_next_and_their_boxes_with_them(tmp_path: Path) -> None:
    mask = '<mask frame="{}" outside="0" rle="0, 100" left="{}" top="{}" width="10" height="10"/>'
    found = cvat(tmp_path, f'<track label="run">{mask.format(0, 0, 0)}{mask.format(20, 40, 30)}{box(25, 3)}</track>')
    (tube,) = found.videos[0].labels(FACTS).tubes
    held = {
        frame: (counts, edges)
        for frame, counts, edges in zip(tube.frames, tube.masks, tube.boxes.tolist(), strict=True)
    }
    for frames, left, top in ((range(20), 0, 0), (range(20, 25), 40, 30)):
        expected = np.zeros((50, 100), dtype=bool)
        expected[top : top + 10, left : left + 10] = True
        for frame in frames:
            counts, edges = held[frame]
            assert counts is not None
            np.testing.assert_array_equal(decode_mask(counts, 50, 100), expected)
            assert edges == [left, top, left + 10, top + 10]
    assert held[27] == (None, [3, 1, 13, 11])


def test_cvat_masks_are_kept_as_runs_until_their_video_is_placed(tmp_path: Path) -> None:
    """Of a file of 60 KB, whose masks have 120 MB of pixels. Oracle: what Python allocates at most."""
    mask = '<mask frame="{}" outside="0" rle="0, 240000" left="0" top="0" width="400" height="600"/>'
    tracks = f'<track label="run">{"".join(mask.format(frame) for frame in range(500))}</track>'
    tracemalloc.start()
    found = cvat(
        tmp_path, tracks, "<size>500</size><original_size><width>400</width><height>600</height></original_size>"
    )
    found.videos[0].labels(VideoFacts(500, 25.0, 400, 600))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 20e6


def test_cvat_boxes_fit_videos_coded_again(tmp_path: Path) -> None:
    task = "<size>30</size><original_size><width>200</width><height>25</height></original_size>"
    found = cvat(tmp_path, f'<track label="run">{box(29, 20)}</track>', task)
    assert boxes_of(found, "v", FACTS)["0", "run", 29] == [10, 2, 15, 22]


@pytest.mark.parametrize("size", [(200, 25), (50, 100), (100, 50)])
def test_cvat_masks_fit_videos_coded_again(tmp_path: Path, size: tuple[int, int]) -> None:
    """Oracle: the whole picture of the task, of which each pixel of the video takes the one under its middle."""
    width, height = size
    task = f"<size>30</size><original_size><width>{width}</width><height>{height}</height></original_size>"
    pixels = np.zeros((height, width), dtype=bool)
    pixels[5:16, 9:20] = np.arange(11)[:, np.newaxis] + np.arange(11) < 15
    runs = np.diff(np.flatnonzero(np.diff(np.r_[2, pixels[5:16, 9:20].ravel(), 2])))
    mask = (
        f'<mask frame="29" outside="0" rle="0, {", ".join(map(str, runs))}" left="9" top="5" width="11" height="11"/>'
    )
    (video,) = cvat(tmp_path, f'<track label="run">{mask}</track>', task).videos
    (tube,) = video.labels(FACTS).tubes
    assert tube.masks[0] is not None
    rows = ((np.arange(50) + 0.5) * height / 50).astype(int)
    columns = ((np.arange(100) + 0.5) * width / 100).astype(int)
    expected = pixels[rows][:, columns]
    np.testing.assert_array_equal(decode_mask(tube.masks[0], 50, 100), expected)
    ys, xs = np.nonzero(expected)
    assert tube.boxes.tolist() == [[xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]]


def test_cvat_a_project_of_several_tasks_is_refused(tmp_path: Path) -> None:
    (tmp_path / "all.xml").write_text("<annotations><meta><project><tasks/></project></meta></annotations>")
    with pytest.raises(UserError, match=r"all\.xml: is of a whole project, .*; export each task alone"):
        read_cvat(str(tmp_path / "all.xml"))


def test_cvat_other_shapes_are_left_out_and_counted(tmp_path: Path) -> None:
    found = cvat(tmp_path, f'<track label="run">{box(1)}</track><track label="run"><points frame="1"/></track>')
    assert found.notes == ["1 tracks of points, lines or other shapes were left out; expected boxes or masks"]


def test_a_folder_of_cvat_files_is_a_pool(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.xml").write_text(f'<annotations><track label="run">{box(3)}</track></annotations>')
    assert [video.video_id for video in read_cvat(str(tmp_path)).videos] == ["a", "b"]
    (tmp_path / "day" / "one").mkdir(parents=True)
    (tmp_path / "b.xml").rename(tmp_path / "day" / "one" / "b.xml")  # as an export of nested ids leaves it
    assert [video.video_id for video in read_cvat(str(tmp_path)).videos] == ["a", "b"]
    (tmp_path / "day" / "one" / "b.xml").rename(tmp_path / "b.xml")
    meta = "<meta><task><source>b.mp4</source></task></meta>"
    (tmp_path / "a.xml").write_text(f"<annotations>{meta}</annotations>")
    with pytest.raises(UserError, match=r"b\.xml: is of the video 'b', as is .*a\.xml"):
        read_cvat(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("<video/>", "the root is <video>"),
        ("<annotations><image/></annotations>", "CVAT for video"),
        ('<annotations><track id="7">' + box(1) + "</track></annotations>", "track 7 has no label"),
        ('<annotations><track id="7" label="a"><box frame="3"/></track></annotations>', "track '7', frame '3'"),
        ('<annotations><track label="a">' + box(-1) + "</track></annotations>", "lies before the first"),
        (
            '<annotations><track label="a"><mask frame="0" rle="9999999999" left="0" top="0" width="99999" '
            'height="99999"/></track></annotations>',
            "a mask of 99999×99999",
        ),
        (
            '<annotations><track label="a"><mask frame="0" rle="1,2" left="0" top="0" width="2" height="2"/></track>'
            "</annotations>",
            "its runs cover 3 pixels",
        ),
        ("<annotations><meta><task><size>99999999999</size></task></meta></annotations>", "a task of frames"),
        ("<annotations><meta><task><size>many</size></task></meta></annotations>", "size is 'many'"),
        ("<annotations><meta><task><frame_filter>step=0</frame_filter></task></meta></annotations>", "frame_filter"),
        ("<annotations><meta><task><source>../../etc/passwd</source></task></meta></annotations>", "names the file"),
    ],
)
def test_cvat_files_that_are_malformed_are_refused_by_place(tmp_path: Path, content: str, why: str) -> None:
    (tmp_path / "labels.xml").write_text(content)
    with pytest.raises(UserError, match=why) as caught:
        read_cvat(str(tmp_path / "labels.xml"))
    assert "labels.xml" in str(caught.value)


@pytest.mark.data
def test_cvat_of_the_real_files(hybridal_data: Path) -> None:
    folder = hybridal_data / "cvat_real_xml"
    stepped = read_cvat(str(folder / "datumaro_for_video_annotations.xml"))
    facts = VideoFacts(20, 25.0, 25, 20)
    assert boxes_of(stepped, "t", facts) == {("0", "II", 10): [3, 4, 10, 5]}
    assert looked_at(stepped, "t", facts) == [10, 13, 16, 19]
    name = "kabr_DJI_tracks_with_gap"
    holed = boxes_of(read_cvat(str(folder / f"{name}.xml")), name, VideoFacts(900, 30.0, 5472, 3078))
    assert [frame for tube, _, frame in holed if tube == "0"] == [*range(11), *range(21, 31)]
    assert [frame for tube, _, frame in holed if tube == "1"] == list(range(21))


@pytest.mark.data
def test_cvat_of_jaad_keeps_every_box_and_its_action(hybridal_data: Path) -> None:
    folder = hybridal_data / "jaad_cvat"
    found = read_cvat(str(folder), class_attribute="action")
    assert {"standing", "walking"} <= set(found.classes)
    for file in sorted(folder.glob("*.xml")):
        written = {
            (
                float(b.get("xtl", "")),
                float(b.get("ybr", "")),
                int(b.get("frame", "")),
                _action(b, track.get("label", "")),
            )
            for track in ElementTree.parse(file).getroot().iter("track")
            for b in track.iter("box")
            if b.get("outside") == "0"
        }
        boxes = boxes_of(found, f"data/{file.stem}", VideoFacts(2000, 30.0, 1920, 1080))
        assert {(b[0], b[3], frame, action) for (_, action, frame), b in boxes.items()} == written


def _action(shape: ElementTree.Element, label: str) -> str:
    return next((a.text or "" for a in shape.iter("attribute") if a.get("name") == "action"), label)


# Label Studio --------------------------------------------------------------------------------------------------------


def key(frame: int, x: float = 0, enabled: bool = True, rate: float | None = None, **more: object) -> dict:
    time = {} if rate is None else {"time": frame / rate}
    return {"frame": frame, "enabled": enabled, "x": x, "y": 10, "width": 20, "height": 40, "rotation": 0} | time | more


def region(*keys: dict, labels: tuple[str, ...] = ("run",), name: str = "r") -> dict:
    return {"id": name, "type": "videorectangle", "value": {"sequence": list(keys), "labels": list(labels)}}


def label_studio(folder: Path, *regions: object, **options: object) -> Annotations:
    task = {"data": {"video": "/data/upload/3/v.mp4"}, "annotations": [{"result": list(regions)}]}
    (folder / "labels.json").write_text(json.dumps(task))
    return read_label_studio(str(folder / "labels.json"), **options)


def ls_boxes(annotations: Annotations, facts: VideoFacts = FACTS) -> dict[tuple[str, str, int], list]:
    (video,) = annotations.videos
    return boxes_of(annotations, video.video_id, facts)


def test_label_studio_frames_count_from_1_on_a_grid_of_its_own(tmp_path: Path) -> None:
    """24 a second where nothing is said: frame 9 of the grid is a third of a second, frame 10 of a video of 30."""
    plain = label_studio(tmp_path, region(key(1, 0), key(9, 10, enabled=False)))
    found = {frame: round(b[0], 3) for (_, _, frame), b in ls_boxes(plain).items()}
    assert found == {frame: frame for frame in range(11)}
    timed = label_studio(tmp_path, region(key(1, 0, rate=30), key(9, 8, enabled=False, rate=30)))
    assert sorted(frame for _, _, frame in ls_boxes(timed)) == list(range(9))
    told = label_studio(tmp_path, region(key(1, 0, rate=30), key(9, 8, enabled=False, rate=30)), frame_rate=60)
    assert sorted(frame for _, _, frame in ls_boxes(told)) == list(range(5))


def test_label_studio_percentages_become_pixels(tmp_path: Path) -> None:
    found = ls_boxes(label_studio(tmp_path, region(key(1, 10, enabled=False), labels=("run", "sit"))))
    assert found == {("r", label, 0): [10, 5, 30, 25] for label in ("run", "sit")}


def test_label_studio_not_enabled_means_there_at_the_frame_and_gone_after_it(tmp_path: Path) -> None:
    keys = [key(1, rate=30), key(4, enabled=False, rate=30), key(8, rate=30), key(10, enabled=False, rate=30)]
    found = label_studio(tmp_path, region(*keys))
    assert sorted(frame for _, _, frame in ls_boxes(found)) == [0, 1, 2, 3, 7, 8, 9]


def test_label_studio_an_enabled_last_keyframe_lasts_to_the_end(tmp_path: Path) -> None:
    found = label_studio(tmp_path, region(key(26, 3, rate=30)))
    assert sorted(frame for _, _, frame in ls_boxes(found)) == [25, 26, 27, 28, 29]


def test_label_studio_sizes_may_be_negative_and_boxes_rotated(tmp_path: Path) -> None:
    backwards = label_studio(tmp_path, region(key(1, 30, enabled=False, width=-20, y=50, height=-40)))
    assert ls_boxes(backwards)["r", "run", 0] == [10, 5, 30, 25]
    # By hand: 20 × 20 pixels at (50, 5) of a picture of 100 × 50, a quarter turn about that corner.
    turned = label_studio(tmp_path, region(key(1, 50, enabled=False, rotation=90, rate=30)))
    assert ls_boxes(turned)["r", "run", 0] == pytest.approx([30, 5, 50, 25], abs=1e-4)
    assert turned.notes == ["1 rotated boxes became the upright ones around them"]


def test_label_studio_says_what_was_looked_at(tmp_path: Path) -> None:
    one = region(key(3, enabled=False, rate=30))
    assert looked_at(label_studio(tmp_path, one), "data/upload/3/v", FACTS) == list(range(30))
    assert looked_at(label_studio(tmp_path, one, labelled="boxes"), "data/upload/3/v", FACTS) == [2]


def test_label_studio_folders_without_a_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.xml").write_text("<annotations/>")
    with pytest.raises(UserError, match=rf"{tmp_path}: holds no \.json file"):
        read_label_studio(str(tmp_path))


@pytest.mark.data
def test_label_studio_of_the_real_files(hybridal_data: Path) -> None:
    folder = hybridal_data / "labelstudio_opossum"
    by_hand = read_label_studio(str(folder / "video_bboxes_annotation_1.json"))
    assert by_hand.classes == ("Airplane", "Car", "Possum")
    facts = VideoFacts(1259, 30_000 / 1001, 1280, 720)
    possum = {frame: b for (_, label, frame), b in ls_boxes(by_hand, facts).items() if label == "Possum"}
    # Keyframe 7 of the 24 fps grid, drawn by hand, is frame round(6 / 24 × 29.97) = 7 of the video.
    keys = json.loads((folder / "video_bboxes_annotation_1.json").read_text())["annotations"][0]["result"][2]["value"]
    last = keys["sequence"][-1]
    assert min(possum) == round(5 / 24 * 29.97)
    assert max(possum) == 1258
    pixels = [last[name] * scale for name, scale in zip(("x", "y", "width", "height"), [12.8, 7.2] * 2, strict=True)]
    turned = around(*pixels, last["rotation"], about_centre=False)
    np.testing.assert_allclose(possum[round(68 / 24 * 29.97)], turned, rtol=1e-5)
    drawn = read_label_studio(str(folder / "opossum_snow_short_1.json"))
    short = VideoFacts(35, 30_000 / 1001, 1280, 720)
    result = json.loads((folder / "opossum_snow_short_1.json").read_text())[0]["result"][0]["value"]["sequence"]
    found = {frame: b for (tube, _, frame), b in ls_boxes(drawn, short).items() if tube == "0"}
    assert sorted(found) == [k["frame"] - 1 for k in result]
    for k in result:
        np.testing.assert_allclose(found[k["frame"] - 1][0], k["x"] * 12.8, atol=1e-3)


# What both share -----------------------------------------------------------------------------------------------------


def test_keyframes_off_the_grid_are_shown_too() -> None:
    keys = Keyframes(np.array([1, 4]), np.array([[0.0], [3.0]]), np.array([True, True]), np.array([True, False]))
    frames, values, last = keys.on(np.array([0, 2, 8]))
    assert frames.tolist() == [1, 2, 4]
    assert values[:, 0].tolist() == [0, 1, 3]
    assert last.tolist() == [0, 0, 1]


@pytest.mark.parametrize("angle", [-31.9, 0, 45, 90, 180, 300])
def test_the_upright_box_holds_the_corners_of_the_rotated_one(angle: float) -> None:
    """Oracle: rotation of the corners as complex numbers."""
    for about_centre in (True, False):
        pivot = complex(10 + 15, 20 + 5) if about_centre else complex(10, 20)
        turn = np.exp(1j * np.deg2rad(angle))
        corners = [(complex(x, y) - pivot) * turn + pivot for x in (10, 40) for y in (20, 30)]
        expected = [min(c.real for c in corners), min(c.imag for c in corners)]
        expected += [max(c.real for c in corners), max(c.imag for c in corners)]
        assert around(10, 20, 30, 10, angle, about_centre=about_centre) == pytest.approx(expected)


def test_further_actions_of_an_actor_on_a_frame_are_told(tmp_path: Path) -> None:
    tables = LabelTables()
    found = label_studio(tmp_path, region(key(2, enabled=False, rate=30), labels=("run", "sit", "wave")))
    (video,) = found.videos
    tables.add("v", video.labels(FACTS), FACTS)
    assert len(tables.tubes()) == 3
    (note,) = tables.notes()
    assert note.startswith("2 boxes tell of a further action of an actor on the same frame")


def test_a_tube_has_one_box_a_frame(tmp_path: Path) -> None:
    tables = LabelTables()
    found = label_studio(tmp_path, region(key(2, enabled=False, rate=30)), region(key(2, 5, enabled=False, rate=30)))
    (video,) = found.videos
    tables.add("v", video.labels(FACTS), FACTS)
    assert len(tables.tubes()) == 1
    assert tables.notes() == ["1 boxes were left out: they repeat a frame of their tube"]
