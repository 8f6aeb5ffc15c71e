"""Oracles: AVA's published figure of its sample, and ground truth that is handed in as prediction."""

import importlib.util
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from evaluation_tables import truth_row, truth_table
from scipy.io import loadmat

from hybridal_ray.evaluation.ava_csv import counted_by_ava, read_ava_predictions, read_ava_truth
from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.pool.masks import box_of_mask
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA

pytestmark = pytest.mark.data

FRAME = ("frame_map@0.5", "frame_map@0.5:0.95")
VIDEO = ("video_map@0.2", "video_map@0.5", "video_map@0.75", "video_map@0.5:0.95")
ALL = [
    *(f"{convention}/{name}" for convention in ("strict", "act", "multisports", "capsnet") for name in FRAME + VIDEO),
    *(f"ava/{name}" for name in FRAME),
]


def benchmark():
    """The reader of the corrected annotations of UCF101-24 lies beside the benchmark."""
    file = Path(__file__).parents[2] / "benchmarks" / "evaluation.py"
    spec = importlib.util.spec_from_file_location("evaluation_benchmark", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def ucf101_24(hybridal_data):
    folder = hybridal_data / "ucf101_24"
    truth, lengths, classes = benchmark().read_truth(folder / "pyannot.pkl", folder / "testlist01.txt")
    assert len(lengths) == 901
    return truth, list(lengths), classes


def as_predictions(truth, boxes=None):
    """The truth as predictions; every tube of a video its own score."""
    columns = {name: truth[name] for name in ("video_id", "tube_id", "frame", "class_id", "x1", "y1", "x2", "y2")}
    if boxes is not None:
        columns |= {name: pa.array(boxes[:, k]) for k, name in enumerate(("x1", "y1", "x2", "y2"))}
    ones = np.ones(len(truth))
    return (
        pa.table({**columns, "score": ones, "tube_score": ones})
        .select(PREDICTIONS_SCHEMA.names)
        .cast(PREDICTIONS_SCHEMA)
    )


def shifted(truth, iou):
    """Boxes moved along x so that each has that IoU with itself: a shift by s of a width leaves (1 - s) / (1 + s)."""
    boxes = np.stack([truth[name].to_numpy() for name in ("x1", "y1", "x2", "y2")], axis=1).astype(np.float64)
    boxes[:, [0, 2]] += ((1 - iou) / (1 + iou) * (boxes[:, 2] - boxes[:, 0]))[:, None]
    return boxes


def test_the_ava_sample_gives_the_published_figure(hybridal_data):
    folder = hybridal_data / "ava_multisports_format_samples"
    true = read_ava_truth(str(folder / "eval_detection_gt.csv"))
    predictions = read_ava_predictions(str(folder / "eval_detection_pred.csv"), true.actions)
    counted = counted_by_ava(predictions, true.excluded)
    metrics = evaluate_predictions(counted, true.truth, true.video_ids, [str(action) for action in true.actions])
    assert metrics["ava/frame_map@0.5"] == pytest.approx(0.09385522, abs=5e-9)


def test_perfect_predictions_of_ucf101_24_give_one_under_every_convention(ucf101_24):
    truth, videos, classes = ucf101_24
    metrics = evaluate_predictions(as_predictions(truth), truth, videos, classes, resamples=0)
    assert {name: metrics[name] for name in ALL} == dict.fromkeys(ALL, pytest.approx(1.0, abs=1e-12))


def single_actors(truth):
    """The videos of one tube: where two actors touch, a moved box may come to lie on the other's."""
    tubes = truth.group_by("video_id").aggregate([("tube_id", "count_distinct")])
    return sorted(row["video_id"] for row in tubes.to_pylist() if row["tube_id_count_distinct"] == 1)


def test_jitter_to_iou_0_6_passes_0_5_and_fails_0_75(ucf101_24):
    truth, _, classes = ucf101_24
    videos = single_actors(truth)
    assert len(videos) > 600
    metrics = evaluate_predictions(as_predictions(truth, shifted(truth, 0.6)), truth, videos, classes, resamples=0)
    for of_class in metrics["per_class"].values():
        if of_class["truth_boxes"]:  # ACT's convention counts the classes that are left out as 0
            for figures in (of_class, *(of_class["conventions"][name] for name in ("act", "multisports", "capsnet"))):
                assert figures["frame_ap@0.5"] == figures["video_ap@0.5"] == pytest.approx(1.0, abs=1e-12)
                assert figures["video_ap@0.75"] == 0.0
                assert figures["frame_ap@0.5:0.95"] <= 0.4  # none beyond 0.65: inclusive pixels add a little
    assert sum(of_class["truth_boxes"] > 0 for of_class in metrics["per_class"].values()) >= 20


@pytest.fixture(scope="module")
def jhmdb_21(hybridal_data):
    """The boxes around every mask of J-HMDB-21."""
    files = sorted((hybridal_data / "jhmdb21" / "masks").glob("*/*.mat"))
    assert len(files) == 747
    classes = sorted({file.parent.name for file in files})
    rows = []
    for file in files:
        masks = np.moveaxis(loadmat(file)["part_mask"], 2, 0) > 0
        for frame, box in enumerate(map(box_of_mask, masks)):
            if box is not None:
                rows.append(truth_row(frame, box, video=file.stem, class_id=classes.index(file.parent.name)))
    return truth_table(rows), sorted({file.stem for file in files}), classes


@pytest.mark.slow
def test_ground_truth_of_jhmdb_21_gives_one_and_its_jitter_0_75_none(jhmdb_21):
    truth, videos, classes = jhmdb_21
    metrics = evaluate_predictions(as_predictions(truth), truth, videos, classes, resamples=0)
    assert {name: metrics[name] for name in ALL} == dict.fromkeys(ALL, pytest.approx(1.0, abs=1e-12))
    moved = as_predictions(truth, shifted(truth, 0.6))
    metrics = evaluate_predictions(moved, truth, videos, classes, resamples=0)
    for convention in ("strict", "act", "multisports", "capsnet"):
        assert metrics[f"{convention}/frame_map@0.5"] == pytest.approx(1.0, abs=1e-12)
        assert metrics[f"{convention}/video_map@0.5"] == pytest.approx(1.0, abs=1e-12)
        assert metrics[f"{convention}/video_map@0.75"] == 0.0
