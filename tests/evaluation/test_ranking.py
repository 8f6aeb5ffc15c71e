"""Oracle: the evaluator itself, on tables in which the videos that were drawn stand as often as they were drawn."""

import numpy as np
import pytest
from evaluation_tables import (
    CLASSES,
    evaluate,
    perfect,
    prediction_row,
    prediction_table,
    random_tables,
    truth_row,
    truth_table,
)

from hybridal_ray.evaluation.conventions import CONVENTIONS
from hybridal_ray.evaluation.metrics import gather_evidence
from hybridal_ray.evaluation.ranking import box_ranking, draw_videos


def copies(rows, counts):
    """The rows of each video as often as it was drawn, under names that keep the order."""
    return [row | {"video_id": f"{row['video_id']}-{copy}"} for row in rows for copy in range(counts[row["video_id"]])]


@pytest.mark.parametrize("seed", range(25))
def test_a_resample_is_what_the_copied_videos_give(seed):
    predictions, truth = random_tables(seed)
    for number, row in enumerate(predictions):  # copies rank side by side only where no other has their score
        row["score"] = 0.1 + number / 1000
    draw = draw_videos(3, 1, seed)
    counts = {f"v{k}": int(draw[0, k]) for k in range(3)}
    drawn_truth = copies(truth, counts)
    evidence = gather_evidence(prediction_table(predictions), truth_table(truth), ["v0", "v1", "v2"], CLASSES)
    true = evidence.true
    strict = CONVENTIONS[0]
    for class_id, name in enumerate(CLASSES):
        ranking = box_ranking(evidence.by_class, true.videos[true.classes == class_id], class_id, strict)
        found = ranking.resampled_areas(strict.area, draw)[0]
        if not any(row["class_id"] == class_id for row in drawn_truth):
            assert np.isnan(found).all()
            continue
        ids = [f"{video}-{copy}" for video, count in counts.items() for copy in range(count)]
        expected = evaluate(copies(predictions, counts), drawn_truth, ids)["per_class"][name]["frame_ap@0.5"]
        assert found[0] == pytest.approx(expected, abs=1e-6)


def test_a_long_ranking_cut_into_steps_is_hardly_off():
    rng = np.random.default_rng(0)
    truth = [truth_row(frame, video=f"v{k}") for k in range(20) for frame in range(50)]
    predictions = [
        prediction_row(frame, video=f"v{k}", score=rng.random()) if rng.random() < 0.6
        else prediction_row(frame, (0, 0, 5, 5), video=f"v{k}", score=0.7 * rng.random())
        for k in range(20) for frame in range(50)
    ]  # fmt: skip
    metrics = evaluate(predictions, truth, [f"v{k}" for k in range(20)], resamples=300)
    low, high = metrics["intervals"]["strict/frame_map@0.5"]
    assert low < metrics["frame_map@0.5"] < high
    by_hand = [
        evaluate(copies(predictions, counts), copies(truth, counts), ids)["frame_map@0.5"]
        for counts, ids in (drawn(seed) for seed in range(40))
    ]
    expected = np.percentile(by_hand, [2.5, 97.5])
    assert [low, high] == pytest.approx(expected, abs=0.25 * (expected[1] - expected[0]))


def drawn(seed):
    counts = {f"v{k}": int(count) for k, count in enumerate(draw_videos(20, 1, seed)[0])}
    return counts, [f"{video}-{copy}" for video, count in counts.items() for copy in range(count)]


def test_draws_are_as_many_as_the_videos_and_the_same_for_a_seed():
    draws = draw_videos(7, 50, 3)
    assert draws.shape == (50, 7)
    assert (draws.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(draws, draw_videos(7, 50, 3))
    assert (draws != draw_videos(7, 50, 4)).any()


def test_a_class_whose_videos_are_not_drawn_is_left_out_of_the_resample():
    """Oracle: of perfect predictions every resample is perfect; a class without any truth counts 0 under `act`."""
    videos = [f"v{k}" for k in range(6)]
    truth = [truth_row(frame, video=video, class_id=k // 2) for k, video in enumerate(videos) for frame in range(3)]
    metrics = evaluate(perfect(truth), truth, videos, resamples=100)
    assert not (draw_videos(6, 100, 0)[:, :2].sum(axis=1) > 0).all()  # some draws lack the first class
    for figure in ("frame_map@0.5", "video_map@0.5"):
        assert metrics["intervals"][f"act/{figure}"] == metrics["intervals"][f"strict/{figure}"] == [1.0, 1.0]
    assert metrics["per_class"]["jump"]["intervals"]["act/frame_ap@0.5"] == [1.0, 1.0]
    one_class = [truth_row(frame, video=video) for video in videos for frame in range(3)]
    metrics = evaluate(perfect(one_class), one_class, videos, resamples=20)
    assert metrics["intervals"]["act/frame_map@0.5"] == pytest.approx([1 / 3, 1 / 3])
    assert metrics["per_class"]["wave"]["intervals"]["act/frame_ap@0.5"] == [0.0, 0.0]


def test_intervals_are_told_for_every_convention_and_class():
    predictions, truth = random_tables(3)
    metrics = evaluate(predictions, truth, ("v0", "v1", "v2"), resamples=30)
    names = {name for name in metrics if "/" in name}
    assert set(metrics["intervals"]) == names
    for name in names:
        low, high = metrics["intervals"][name]
        assert 0 <= low <= high <= 1
    assert set(metrics["per_class"]["jump"]["intervals"]) == {name.replace("_map", "_ap") for name in names}
    assert metrics == evaluate(predictions, truth, ("v0", "v1", "v2"), resamples=30)
