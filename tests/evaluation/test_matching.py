"""Oracles: the edges of the conventions, worked out by hand."""

import numpy as np
import pytest
from evaluation_tables import AWAY, BOX, evaluate, prediction_row, truth_row

from hybridal_ray.evaluation.matching import NONE, Pairs, match_ranked

LEFT, RIGHT = (0.0, 0.0, 10.0, 10.0), (2.0, 0.0, 12.0, 10.0)  # IoU 2/3 with one another
FRAME = ("strict", "act", "multisports", "ava")
TUBES = ("strict", "act", "multisports")


def values(metrics, name, conventions=FRAME):
    return [metrics[f"{convention}/{name}"] for convention in conventions]


def test_a_second_match_takes_what_is_left_or_is_false():
    truth = [truth_row(0, LEFT, tube="a"), truth_row(0, RIGHT, tube="b")]
    predictions = [prediction_row(0, LEFT, score=0.9, tube="p"), prediction_row(0, LEFT, score=0.8, tube="q")]
    metrics = evaluate(predictions, truth)
    # act: 1 of 3 classes has truth, the other two count 0
    assert values(metrics, "frame_map@0.5") == pytest.approx([1.0, 1 / 3, 0.5, 0.5])
    assert values(metrics, "video_map@0.5", TUBES) == pytest.approx([1.0, 1 / 3, 0.0])  # tubes of one frame: no extent


def test_of_equals_the_one_that_is_left_is_taken():
    truth = [truth_row(0, tube="a"), truth_row(0, tube="b")]
    predictions = [prediction_row(0, score=0.9, tube="p"), prediction_row(0, score=0.8, tube="q")]
    assert values(evaluate(predictions, truth), "frame_map@0.5") == pytest.approx([1.0, 1 / 3, 1.0, 1.0])


def test_classes_without_truth_count_as_nothing_or_are_skipped():
    metrics = evaluate([prediction_row(0)], [truth_row(0)])
    assert values(metrics, "frame_map@0.5") == pytest.approx([1.0, 1 / 3, 1.0, 1.0])
    assert metrics["capsnet/frame_map@0.5"] == 1.0
    nothing = evaluate([], [truth_row(0)])
    assert values(nothing, "frame_map@0.5") + values(nothing, "video_map@0.2", TUBES) == [0.0] * 7
    assert nothing["capsnet/video_map@0.2"] == 0.0


def test_inclusive_pixels_lift_an_overlap_over_the_threshold():
    truth, said = (0.0, 0.0, 9.0, 9.0), (0.0, 0.0, 9.0, 4.4)  # IoU 0.489; with a pixel more 10 x 5.4 of 100
    metrics = evaluate([prediction_row(0, said)], [truth_row(0, truth)])
    assert values(metrics, "frame_map@0.5") == pytest.approx([0.0, 1 / 3, 0.0, 0.0])


def test_an_overlap_that_is_the_threshold_is_a_match():
    half = (0.0, 0.0, 10.0, 5.0)
    metrics = evaluate([prediction_row(0, half)], [truth_row(0, LEFT)])
    assert [metrics[f"{name}/frame_map@0.5"] for name in ("strict", "multisports", "ava", "capsnet")] == [1.0] * 4


def test_temporal_overlap_of_frames_and_of_spans():
    truth = [truth_row(frame) for frame in range(4)]
    two = evaluate([prediction_row(frame) for frame in (0, 1)], truth)
    # frames 2 of 4; inclusive spans 2 of 4; spans 1 of 3
    assert values(two, "video_map@0.5", TUBES) == pytest.approx([1.0, 1 / 3, 0.0])
    ends = evaluate([prediction_row(frame) for frame in (0, 3)], truth)
    # frames 2 of 4; the spans agree
    assert values(ends, "video_map@0.75", TUBES) == pytest.approx([0.0, 1 / 3, 1.0])
    one = evaluate([prediction_row(2)], [truth_row(2)])
    assert values(one, "video_map@0.5", TUBES) == pytest.approx([1.0, 1 / 3, 0.0])


def test_trapezoids_lie_below_the_envelope():
    predictions = [prediction_row(1, score=0.9), prediction_row(0, score=0.8)]  # nobody on frame 1
    metrics = evaluate(predictions, [truth_row(0)])
    assert values(metrics, "frame_map@0.5") == pytest.approx([0.5, 0.25 / 3, 0.5, 0.5])


def test_ties_rank_by_video_frame_and_tube():
    truth = [truth_row(1, video="v")]
    videos = [prediction_row(1, video="u", tube="z"), prediction_row(1, video="v")]
    assert values(evaluate(videos, truth, ("u", "v")), "frame_map@0.5") == pytest.approx([0.5, 0.25 / 3, 0.5, 0.5])
    tubes = [prediction_row(1, AWAY, tube="a"), prediction_row(1, tube="b")]
    assert values(evaluate(tubes, truth), "frame_map@0.5") == pytest.approx([0.5, 0.25 / 3, 0.5, 0.5])


def test_detections_on_unlabelled_frames_are_not_false():
    truth = [truth_row(frame) for frame in (0, 30)]
    predictions = [prediction_row(frame, score=1 - frame / 100) for frame in range(0, 40, 3)]
    predictions += [prediction_row(15, AWAY, score=1.0, tube="z")]
    sparse = evaluate(predictions, truth, labelled={"v": [0, 30]})
    for name in ("strict", "multisports", "ava", "capsnet"):
        assert sparse[f"{name}/frame_map@0.5"] == 1.0
    assert sparse["strict/video_map@0.5"] == 1.0
    assert evaluate(predictions, truth)["frame_map@0.5"] == pytest.approx((1 + 2 / 12) / 2)  # on every frame false
    empty_but_labelled = evaluate(predictions, truth, labelled={"v": [0, 15, 30]})
    assert empty_but_labelled["frame_map@0.5"] == pytest.approx((1 + 2 / 4) / 2)  # two false on frame 15
    other = evaluate(predictions, truth, ("v", "w"), labelled={"w": [3]})
    assert other["frame_map@0.5"] == evaluate(predictions, truth)["frame_map@0.5"]


def test_one_mask_a_frame_has_no_score_and_no_class():
    truth = [truth_row(frame) for frame in range(4)]
    wrong_class = [prediction_row(frame, class_id=2, score=0.01) for frame in range(3)]
    shares = evaluate(wrong_class, truth)
    assert shares["capsnet/frame_map@0.5"] == 0.75
    assert shares["capsnet/video_map@0.75"] == 1.0  # 3 of 4 frames of the volume
    assert shares["capsnet/video_map@0.5:0.95"] == pytest.approx(6 / 10)
    two = [prediction_row(frame, AWAY, tube="b") for frame in range(4)]
    assert evaluate(wrong_class + two, truth)["capsnet/frame_map@0.5"] == 0.75  # half of the mask: just enough
    assert evaluate(wrong_class + two, truth)["capsnet/frame_map@0.5:0.95"] == pytest.approx(0.075)


def test_of_a_group_each_truth_is_matched_once_and_groups_do_not_meddle():
    pairs = Pairs(np.array([0, 0, 1, 1, 2, 3]), np.array([0, 1, 0, 1, 2, 2]), np.array([0.9, 0.8, 0.9, 0.7, 0.6, 0.9]))
    groups = np.array([7, 7, 3])
    np.testing.assert_array_equal(match_ranked(pairs, groups, 5, [0.5, 0.75])[:, 0], [0, 1, 2, NONE, NONE])
    np.testing.assert_array_equal(match_ranked(pairs, groups, 5, [0.5, 0.75])[:, 1], [0, NONE, NONE, 2, NONE])
    np.testing.assert_array_equal(
        match_ranked(pairs, groups, 5, [0.5], best_of_all=True)[:, 0], [0, NONE, 2, NONE, NONE]
    )


@pytest.mark.parametrize("box", [BOX, AWAY])
def test_rows_of_several_classes_of_a_tube_are_one_mask(box):
    rows = [prediction_row(0, box, class_id=class_id) for class_id in range(3)]
    assert evaluate(rows, [truth_row(0, box)])["capsnet/frame_map@0.5:0.95"] == 1.0
