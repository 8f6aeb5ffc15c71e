"""Tasks of Label Studio. Oracles: names and labels read off the JSON by hand; what a plain folder of videos says."""

import json
from pathlib import Path

import pytest
from test_importers import boxes_of, looked_at
from test_tool_importers import FACTS, key, ls_boxes, region

from hybridal_ray.errors import UserError
from hybridal_ray.pool.formats.label_studio import read_label_studio


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ({"video": "/data/local-files/?d=films/day%201/v.mp4"}, "films/day 1/v"),
        ({"video": "https://host/bucket/films/v%C3%A9.mp4?token=a.mp4"}, "vé"),
        ({"video": "/data/upload/3/v.mp4?cache=1"}, "data/upload/3/v"),
        ({"note": "Is he walking?", "video": "clips/a.mp4"}, "clips/a"),
        ({"video": "s3://bucket/x/y.mkv", "video_id": "what?"}, "what?"),
        ({"video": "s3://bucket/x/y.mkv", "video_id": "z.mkv"}, "z"),
        ({"video": "s3://bucket/x/y.mkv", "video_id": "z.mkv", "pool_classes": ["run"]}, "z.mkv"),  # our own export
        ({"note": "no video at all"}, "labels"),
    ],
)
def test_names_the_video_by_its_address(tmp_path: Path, data: dict[str, object], name: str) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({"data": data, "annotations": [{"result": []}]}))
    (video,) = read_label_studio(str(tmp_path / "labels.json")).videos
    assert video.video_id == name


@pytest.mark.parametrize(
    ("task", "why"),
    [
        (3, "expected a task"),
        ([], "expected a task"),
        ({"data": {"video": "/../../etc/v.mp4"}}, "names the file"),
        ({"annotations": [{"result": [region()]}]}, "region 0: ValueError: an empty sequence"),
        ({"annotations": [{"result": [region(key(0))]}]}, "region 0: ValueError: a position or frame"),
        ({"annotations": [{"result": [region(key(1, float("nan")))]}]}, "region 0: ValueError: a position or frame"),
        ({"annotations": [{"result": [{"type": "videorectangle"}]}]}, "region 0: KeyError: 'value'"),
        ({"annotations": 4}, "annotations is not a list"),
        ({"annotations": [{"result": 5}]}, "task 0: result is 5, expected a list of regions"),
        (
            {
                "annotations": [
                    {"result": [{"type": "videorectangle", "value": {"labels": "run", "sequence": [key(1)]}}]}
                ]
            },
            "region 0: ValueError: labels is 'run', expected a list of names",
        ),
        ([{"id": 1, "video": "/v.mp4", "box": []}], "task 0 holds box, id, video, expected annotations"),  # JSON-MIN
        (
            {"data": {"image": "v.jpg"}, "annotations": [{"result": [{"type": "rectanglelabels", "value": {}}]}]},
            "task 0: a region is a rectanglelabels of an image, expected videorectangle",
        ),
        ({"data": {"labelled_frames": "3-x"}}, "labelled_frames: '3-x'"),
        ({"data": {"pool_classes": "run"}}, "pool_classes: expected a list of names"),
    ],
)
def test_files_that_are_malformed_are_refused_by_place(tmp_path: Path, task: object, why: str) -> None:
    (tmp_path / "labels.json").write_text(json.dumps(task))
    with pytest.raises(UserError, match=why) as caught:
        read_label_studio(str(tmp_path / "labels.json"))
    assert "labels.json" in str(caught.value)


DRAWN = [region(key(3, enabled=False, rate=30))]


@pytest.mark.parametrize(
    ("task", "predicted"),
    [
        ({"annotations": []}, False),
        ({"annotations": [{"result": DRAWN, "was_cancelled": True}]}, False),
        ({"annotations": [], "drafts": [{"result": DRAWN}]}, False),
        ({"annotations": [], "predictions": [{"result": DRAWN}]}, True),
        ({"predictions": [{"result": DRAWN}], "data": {"video": "v.mp4", "labelled_frames": "0-9"}}, True),
    ],
)
def test_tasks_that_nobody_labelled_say_nothing(tmp_path: Path, task: dict, predicted: bool) -> None:
    labelled = {"data": {"video": "w.mp4"}, "annotations": [{"result": []}]}
    (tmp_path / "labels.json").write_text(json.dumps([{"data": {"video": "v.mp4"}} | task, labelled]))
    found = read_label_studio(str(tmp_path / "labels.json"))
    assert looked_at(found, "v", FACTS) == []
    assert boxes_of(found, "v", FACTS) == {}
    assert looked_at(found, "w", FACTS) == list(range(30))  # somebody looked and found nobody
    unlabelled = "1 of 2 tasks hold no annotation that was not cancelled: their videos count as unlabelled"
    left_out = "1 of these hold predictions, which are nobody's labels and were left out"
    assert found.notes == [unlabelled, left_out][: 1 + predicted]


@pytest.mark.parametrize(("truth", "left"), [((), 30), ((0,), 10), ((0, 1), 20), ((2,), 30)])
def test_of_several_annotations_the_ground_truth_counts(tmp_path: Path, truth: tuple[int, ...], left: int) -> None:
    drawn = [
        {"result": [region(key(1, x, enabled=False))], "ground_truth": n in truth} for n, x in enumerate((10, 20, 30))
    ]
    cancelled = {"result": [region(key(1, 40, enabled=False))], "was_cancelled": True, "ground_truth": True}
    task = {"data": {"video": "v.mp4"}, "annotations": [*drawn, cancelled]}
    (tmp_path / "labels.json").write_text(json.dumps(task))
    found = read_label_studio(str(tmp_path / "labels.json"))
    assert ls_boxes(found)["r", "run", 0][0] == left
    assert found.notes == [
        "1 tasks have several annotations; the last one counts, or the last that is marked as ground truth"
    ]
