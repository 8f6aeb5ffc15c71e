"""Oracles: an evaluator written as loops (`brute_force`), and cases worked out by hand."""

import brute_force
import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA

CLASSES = ("jump", "run", "wave")
BOX = (10.0, 10.0, 30.0, 50.0)
AWAY = (60.0, 10.0, 80.0, 50.0)


def truth_row(frame, box=BOX, *, video="v", tube="a", class_id=0):
    names = ("x1", "y1", "x2", "y2")
    return {"video_id": video, "tube_id": tube, "class_id": class_id, "frame": frame, "mask": None} | dict(
        zip(names, box, strict=True)
    )


def prediction_row(frame, box=BOX, *, score=0.5, tube_score=None, **keys):
    row = truth_row(frame, box, **keys)
    del row["mask"]
    return row | {"score": score, "tube_score": score if tube_score is None else tube_score}


def evaluate(predictions, truth, videos=("v",)):
    return evaluate_predictions(
        pa.Table.from_pylist(predictions, PREDICTIONS_SCHEMA),
        pa.Table.from_pylist(truth, TUBES_SCHEMA),
        videos,
        CLASSES,
    )


def shrunk(box, iou):
    """The box with its height cut so that it has that IoU with the box."""
    x1, y1, x2, y2 = box
    return x1, y1, x2, y1 + iou * (y2 - y1)


def random_tables(seed):
    """Few places, few scores and few pixels, so that ties, duplicates and equal overlaps are frequent."""
    rng = np.random.default_rng(seed)

    def rows(make, tubes):
        result = []
        for video in ("v0", "v1", "v2"):
            for tube in range(rng.integers(0, tubes + 1)):
                class_id, tube_score = int(rng.integers(0, 3)), rng.integers(1, 4) / 4
                x, y, length = *rng.integers(0, 4, 2), rng.integers(1, 7)
                start = rng.integers(0, 4)
                for frame in range(start, start + length):
                    dx, dy, dw, dh = rng.integers(0, 3, 4)
                    box = (float(x + dx), float(y + dy), float(x + dx + 4 + dw), float(y + dy + 4 + dh))
                    keys = {"video": video, "tube": f"t{tube}", "class_id": class_id}
                    result.append(make(frame, box, score=rng.integers(1, 4) / 4, tube_score=tube_score, **keys))
        return result

    def truth_without_scores(frame, box, score, tube_score, **keys):
        return truth_row(frame, box, **keys)

    truth = rows(truth_without_scores, 3) or [truth_row(0, video="v0")]
    predictions = rows(prediction_row, 6)
    rng.shuffle(predictions)
    return predictions, truth


@pytest.mark.parametrize("seed", range(300))
def test_agrees_with_the_loops(seed):
    predictions, truth = random_tables(seed)
    metrics = evaluate(predictions, truth, ("v2", "v0", "v1"))
    for name, metric, thresholds in (
        ("frame_map@0.5", brute_force.frame_ap, [0.5]),
        ("frame_map@0.5:0.95", brute_force.frame_ap, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]),
        ("video_map@0.2", brute_force.video_ap, [0.2]),
        ("video_map@0.5", brute_force.video_ap, [0.5]),
    ):
        values = [brute_force.mean_over_classes(metric, predictions, truth, t) for t in thresholds]
        assert metrics[name] == pytest.approx(np.mean(values), abs=1e-12), name


def perfect(truth):
    return [
        {key: value for key, value in row.items() if key != "mask"} | {"score": 0.9, "tube_score": 0.9} for row in truth
    ]


TRUTH = [
    *[truth_row(frame, tube="a") for frame in range(5)],
    *[truth_row(frame, AWAY, tube="b", class_id=1) for frame in range(2, 9)],
    truth_row(3, video="w", class_id=1),
]


def test_perfect_predictions_give_one():
    metrics = evaluate(perfect(TRUTH), TRUTH, ("v", "w"))
    names = ("frame_map@0.5", "frame_map@0.5:0.95", "video_map@0.2", "video_map@0.5")
    assert [metrics[name] for name in (*names, "frame_ap_localisation@0.5", "tube_class_accuracy")] == [1.0] * 6


def test_jitter_to_iou_0_6_passes_0_5_and_fails_0_75():
    predictions = [prediction_row(row["frame"], shrunk(BOX, 0.6)) for row in TRUTH[:5]]
    metrics = evaluate(predictions, TRUTH[:5])
    assert metrics["frame_map@0.5"] == 1.0
    assert metrics["video_map@0.5"] == 1.0
    assert metrics["frame_map@0.5:0.95"] == pytest.approx(3 / 10, abs=1e-9)  # 0.5, 0.55 and 0.6 of ten thresholds


def test_no_predictions_give_zero_and_classes_without_truth_are_skipped():
    metrics = evaluate([], TRUTH, ("v", "w"))
    assert metrics["frame_map@0.5"] == metrics["video_map@0.2"] == metrics["frame_ap_localisation@0.5"] == 0.0
    assert metrics["tube_class_accuracy"] is None
    assert metrics["per_class"]["wave"] == {
        "frame_ap@0.5": None,
        "video_ap@0.2": None,
        "video_ap@0.5": None,
        "truth_boxes": 0,
        "truth_tubes": 0,
    }
    assert metrics["per_class"]["run"]["truth_boxes"] == 8
    assert metrics["per_class"]["run"]["truth_tubes"] == 2


def test_predictions_of_a_class_without_truth_change_no_map():
    stray = [prediction_row(frame, score=1.0, class_id=2, tube="z") for frame in range(5)]
    metrics = evaluate(perfect(TRUTH) + stray, TRUTH, ("v", "w"))
    assert metrics["frame_map@0.5"] == metrics["video_map@0.5"] == 1.0


def test_a_duplicate_is_false():
    predictions = [prediction_row(0, score=0.9, tube="p"), prediction_row(0, score=0.8, tube="q")]
    truth = [truth_row(0), truth_row(1)]
    assert evaluate(predictions, truth)["frame_map@0.5"] == pytest.approx(0.5)
    late_hit = [*predictions, prediction_row(1, score=0.7, tube="p")]
    assert evaluate(late_hit, truth)["frame_map@0.5"] == pytest.approx((1 + 2 / 3) / 2)


def test_a_detection_on_a_frame_or_video_without_actors_is_false():
    hit = prediction_row(0, score=0.5)
    truth = [truth_row(0)]
    assert evaluate([hit, prediction_row(7, score=0.9)], truth)["frame_map@0.5"] == pytest.approx(0.5)
    empty_video = prediction_row(0, score=0.9, video="e")
    assert evaluate([hit, empty_video], truth, ("v", "e"))["frame_map@0.5"] == pytest.approx(0.5)
    assert evaluate([hit, empty_video], truth, ("v",))["frame_map@0.5"] == 1.0


def test_a_second_detection_may_take_the_ground_truth_that_is_left():
    left, right = (0.0, 0.0, 10.0, 10.0), (2.0, 0.0, 12.0, 10.0)  # IoU 2/3 with one another
    truth = [truth_row(0, left, tube="a"), truth_row(0, right, tube="b")]
    predictions = [prediction_row(0, left, score=0.9, tube="p"), prediction_row(0, left, score=0.8, tube="q")]
    assert evaluate(predictions, truth)["frame_map@0.5"] == 1.0


def test_ties_rank_by_video_then_frame_then_tube():
    truth = [truth_row(1, video="v")]
    earlier_frame = [prediction_row(1, tube="a"), prediction_row(0, tube="b")]
    assert evaluate(earlier_frame, truth)["frame_map@0.5"] == pytest.approx(0.5)
    later_frame = [prediction_row(2, tube="a"), prediction_row(1, tube="b")]
    assert evaluate(later_frame, truth)["frame_map@0.5"] == 1.0
    tubes = [prediction_row(1, AWAY, tube="a"), prediction_row(1, tube="b")]
    assert evaluate(tubes, truth)["frame_map@0.5"] == pytest.approx(0.5)
    videos = [prediction_row(1, video="u", tube="z"), prediction_row(1, video="v")]
    assert evaluate(videos, truth, ("u", "v"))["frame_map@0.5"] == pytest.approx(0.5)


def test_one_frame_tubes_and_temporal_overlap():
    truth = [truth_row(frame) for frame in range(4)]
    one_frame = evaluate([prediction_row(0)], truth)
    assert one_frame["video_map@0.2"] == 1.0  # 1 frame of 4 in common
    assert one_frame["video_map@0.5"] == 0.0
    assert evaluate([prediction_row(2)], [truth_row(2)])["video_map@0.5"] == 1.0
    shifted = evaluate([prediction_row(frame) for frame in range(2, 6)], truth)
    assert (shifted["video_map@0.2"], shifted["video_map@0.5"]) == (1.0, 0.0)  # 2 frames of 6


def test_localisation_forgets_the_class_and_class_accuracy_forgets_nothing_else():
    truth = [truth_row(frame, class_id=0) for frame in range(4)]
    unsure = [
        prediction_row(frame, score=score, tube="p", class_id=class_id)
        for frame in range(4)
        for class_id, score in ((0, 0.2), (1, 0.6))
    ]
    metrics = evaluate(unsure, truth)
    assert metrics["frame_ap_localisation@0.5"] == 1.0  # two rows a box are one box
    assert metrics["frame_map@0.5"] == 1.0
    assert metrics["tube_class_accuracy"] == 0.0
    right = [prediction_row(frame, score=0.7, tube="p", class_id=0) for frame in range(4)]
    assert evaluate(right, truth)["tube_class_accuracy"] == 1.0
    lost = [prediction_row(frame, AWAY, tube="p") for frame in range(4)]
    assert evaluate(lost, truth)["tube_class_accuracy"] is None


def test_order_of_rows_and_videos_does_not_matter():
    predictions, truth = random_tables(4)
    videos = ("v0", "v1", "v2")
    assert evaluate(predictions[::-1], truth[::-1], videos[::-1]) == evaluate(predictions, truth, videos)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"class_id": 3}, "class_id 3"),
        ({"score": float("nan")}, "score is not a finite"),
        ({"x2": 0.0}, "x2 < x1"),
        ({"frame": -1}, "frame -1"),
    ],
)
def test_impossible_predictions_are_refused(change, message):
    with pytest.raises(UserError, match=message):
        evaluate([prediction_row(0) | change], [truth_row(0)])


def test_a_box_given_twice_and_missing_ground_truth_are_refused():
    with pytest.raises(UserError, match="two boxes"):
        evaluate([prediction_row(0), prediction_row(0)], [truth_row(0)])
    with pytest.raises(UserError, match="none of the 1 videos"):
        evaluate([prediction_row(0)], [truth_row(0, video="other")])
