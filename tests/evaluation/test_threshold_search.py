"""Oracle: the detector that sees bright squares is sure of them to 0.9999."""

import pyarrow as pa
import pytest
from bright_detector import CLASSES, moving_squares, write_video

from hybridal_ray.detectors.checkpoint import save_detector
from hybridal_ray.detectors.interface import DetectorSpec
from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.detecting import DetectionSettings
from hybridal_ray.evaluation.threshold_search import search_thresholds
from hybridal_ray.pool.tables import TUBES_SCHEMA, Video


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search")
    frames, rows = moving_squares(12)
    write_video(folder / "v.mp4", frames)
    checkpoint = str(folder / "checkpoint")
    save_detector(checkpoint, DetectorSpec("bright_detector:BrightDetector", 2, 64, 4, 2), {}, None)

    def run(split="val", frames=range(12), **options):
        known = [row | {"video_id": "v"} for row in rows if row["frame"] in frames]
        truth = pa.Table.from_pylist(known, TUBES_SCHEMA)
        video = Video("v", str(folder / "v.mp4"), split, "v", 12, 128, 96)
        base = DetectionSettings(min_tube_frames=2)
        return search_thresholds([video], truth, CLASSES, checkpoint, base=base, **options)

    return run


def test_the_best_settings_come_first(search):
    told = []
    trials = search(
        grid={"mask_threshold": (0.99999, 0.7), "min_tube_frames": (2, 9)},
        progress=lambda done, total: told.append((done, total)),
    )
    assert len(trials) == 4
    assert [trial.value for trial in trials] == sorted((trial.value for trial in trials), reverse=True)
    best = trials[0].settings
    assert (best.mask_threshold, best.min_tube_frames) == (
        0.7,
        2,
    )  # beyond 0.9999 nothing is seen, and green lasts 6 frames
    assert trials[0].value == 1.0
    assert told == [(1, 1)]


def test_frames_that_nobody_labelled_do_not_count(search):
    (trial,) = search(frames=(0, 4, 8), labelled={"v": [0, 4, 8]}, grid={})
    assert trial.value == 1.0
    (trial,) = search(frames=(0, 4, 8), grid={})
    assert trial.value < 0.5  # as if nobody were there on the others


@pytest.mark.parametrize("split", ["test", "train"])
def test_other_splits_are_refused(search, split):
    with pytest.raises(UserError, match="thresholds are searched on 'val' alone"):
        search(split=split)


def test_unknown_names_are_refused(search):
    with pytest.raises(UserError, match="mask: no such setting"):
        search(grid={"mask": (0.5,)})
    told = []
    for metric in ("map", "videos", "per_class"):
        with pytest.raises(UserError, match=f"^metric: no figure '{metric}' is known"):
            search(grid={"mask_threshold": (0.7,)}, metric=metric, progress=lambda *done: told.append(done))
    assert not told  # before the pass


def test_settings_that_find_nobody_are_the_worst_by_a_figure_that_needs_somebody(search):
    trials = search(grid={"mask_threshold": (0.99999, 0.7)}, metric="tube_class_accuracy")
    assert [(trial.settings.mask_threshold, trial.value) for trial in trials] == [(0.7, 1.0), (0.99999, 0.0)]
