"""Oracles: an evaluator written as loops (`brute_force`), and cases worked out by hand."""

import brute_force
import pytest
from evaluation_tables import AWAY, BOX, CLASSES, evaluate, perfect, prediction_row, random_tables, shrunk, truth_row

from hybridal_ray.errors import UserError

VIDEOS = ("v2", "v0", "v1")
SEEDS = [*range(150), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(150, 1000))]
FRAME = {"frame_map@0.5": (0.5,), "frame_map@0.5:0.95": brute_force.FRAME_THRESHOLDS}
VIDEO = {
    "video_map@0.2": (0.2,),
    "video_map@0.5": (0.5,),
    "video_map@0.75": (0.75,),
    "video_map@0.5:0.95": brute_force.FRAME_THRESHOLDS,
}


@pytest.mark.parametrize("seed", SEEDS)
def test_every_convention_agrees_with_the_loops(seed):
    predictions, truth = random_tables(seed)
    metrics = evaluate(predictions, truth, VIDEOS)
    for convention in brute_force.CONVENTIONS:
        for names, metric in ((FRAME, brute_force.frame_ap), (VIDEO, brute_force.video_ap)):
            for name, thresholds in names.items():
                if convention != "ava" or names is FRAME:
                    arguments = (convention, predictions, truth, thresholds, len(CLASSES))
                    expected = brute_force.mean_over_classes(metric, *arguments)
                    assert metrics[f"{convention}/{name}"] == pytest.approx(expected, abs=1e-12), (convention, name)
    for names in (FRAME, VIDEO):
        for name, thresholds in names.items():
            expected = brute_force.mask_shares(predictions, truth, len(CLASSES), thresholds, names is VIDEO)
            assert metrics[f"capsnet/{name}"] == pytest.approx(expected, abs=1e-12), name
            assert metrics[name] == metrics[f"strict/{name}"]


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
    of_class = metrics["per_class"]["wave"]
    assert of_class["frame_ap@0.5"] is of_class["video_ap@0.75"] is None
    assert of_class["truth_boxes"] == of_class["truth_tubes"] == 0
    assert of_class["conventions"]["act"]["frame_ap@0.5"] == 0.0
    assert of_class["conventions"]["multisports"]["video_ap@0.5"] is None
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


def test_a_tube_iou_of_just_the_threshold_is_a_match():
    """A third of the frames at an IoU of 3/5 are 1/5, which the product of the two floats misses."""
    truth = [truth_row(frame) for frame in range(3)]
    assert evaluate([prediction_row(0, shrunk(BOX, 0.6))], truth)["video_map@0.2"] == 1.0
    assert evaluate([prediction_row(0, shrunk(BOX, 0.59))], truth)["video_map@0.2"] == 0.0


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
