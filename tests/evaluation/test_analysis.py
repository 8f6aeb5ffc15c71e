"""Oracles: scenes of one error each, whose gain can be told by hand."""

import numpy as np
import pytest
from evaluation_tables import AWAY, BOX, CLASSES, prediction_row, prediction_table, shrunk, truth_row, truth_table

from hybridal_ray.evaluation.analysis import analyse
from hybridal_ray.evaluation.calibration import reliability
from hybridal_ray.evaluation.error_kinds import KINDS
from hybridal_ray.evaluation.metrics import gather_evidence

FRAMES = range(10)
TRUTH = [truth_row(frame) for frame in FRAMES]


def tube(frames, box=BOX, **keys):
    return [prediction_row(frame, box, **keys) for frame in frames]


def analysis(predictions, truth=TRUTH, videos=("v",), clusters=None):
    evidence = gather_evidence(prediction_table(predictions), truth_table(truth), videos, CLASSES)
    return analyse(evidence, CLASSES, clusters)


ALONE = {
    "class": tube(FRAMES, class_id=1),
    "space": tube(FRAMES, shrunk(BOX, 0.4)),
    "time": tube(range(4)),
    "space_and_time": tube(range(6), shrunk(BOX, 0.4)),
    "class_and_place": tube(range(4), class_id=2),
    "background": tube(FRAMES, AWAY),
}


@pytest.mark.parametrize("kind", ALONE)
def test_a_tube_with_one_error_is_told_and_mending_it_gains_all_there_is(kind):
    errors = analysis(ALONE[kind])["errors"]
    counts = {name: found["count"] for name, found in errors["kinds"].items()}
    mendable = kind in ("class", "space", "time", "space_and_time")
    assert counts == dict.fromkeys(KINDS, 0) | {kind: 1, "missed": 0 if mendable else 1}
    assert errors["video_map@0.5"] == 0.0
    assert errors["kinds"][kind]["gain"] == (1.0 if mendable else 0.0)  # what is dropped leaves the actor missed


def test_a_duplicate_and_a_missed_actor():
    second = [truth_row(frame, AWAY, tube="b") for frame in FRAMES]
    twice = tube(FRAMES, score=0.9, tube="p") + tube(FRAMES, score=0.8, tube="q")
    kinds = analysis(twice, TRUTH + second)["errors"]["kinds"]
    assert (kinds["duplicate"]["count"], kinds["missed"]["count"]) == (1, 1)
    assert kinds["duplicate"]["gain"] == 0.0  # it ranks behind the only hit
    assert kinds["missed"]["gain"] == pytest.approx(0.5)
    before = tube(FRAMES, AWAY, score=0.95, tube="z")
    kinds = analysis(twice + before)["errors"]["kinds"]
    assert kinds["background"]["gain"] == pytest.approx(0.5)


def hesitating(rows):
    """The same tubes, each with the other classes too, at scores below all others."""
    others = [
        row | {"class_id": class_id, "score": row["score"] / 100, "tube_score": row["tube_score"] / 100}
        for row in rows
        for class_id in range(len(CLASSES))
        if class_id != row["class_id"]
    ]
    return rows + others


@pytest.mark.parametrize("kind", ALONE)
def test_a_tube_that_hesitates_between_classes_counts_once_by_its_best(kind):
    """Oracle: the counts of the same tubes, written with their best class alone."""
    scene = ALONE[kind] + tube(FRAMES, (60, 60, 80, 99), tube="q", score=0.4)
    counts, expected = (
        {name: found["count"] for name, found in analysis(rows)["errors"]["kinds"].items()}
        for rows in (hesitating(scene), scene)
    )
    assert counts == expected


def test_an_actor_that_a_lower_class_matches_is_not_missed():
    """The best class's row points to the other of two actors on one another; the match is that of a lower class."""
    second = [truth_row(frame, shrunk(BOX, 0.9), tube="b", class_id=1) for frame in FRAMES]
    both = tube(FRAMES, score=0.9) + tube(FRAMES, class_id=1, score=0.1)
    kinds = analysis(both, TRUTH + second)["errors"]["kinds"]
    assert {name: found for name, found in kinds.items() if found["count"] or found["gain"]} == {}


def test_of_several_moved_to_one_actor_only_the_best_stays():
    both = tube(range(4), score=0.9, tube="p") + tube(range(3), score=0.8, tube="q")
    errors = analysis(both)["errors"]
    assert errors["kinds"]["time"] == {"count": 2, "gain": 1.0}


def test_confusion_counts_actors_missed_and_made_up():
    truth = TRUTH + [truth_row(frame, AWAY, tube="b", class_id=1) for frame in FRAMES]
    predictions = tube(FRAMES, tube="p", class_id=2) + tube(FRAMES, (0, 80, 9, 99), tube="q", class_id=1)
    assert analysis(predictions, truth)["confusion"]["matrix"] == [
        [0, 0, 1, 0],
        [0, 0, 0, 1],
        [0, 0, 0, 0],
        [0, 1, 0, 0],
    ]


def test_class_scores_are_shares_of_the_sum():
    rows = tube(FRAMES, tube="p", class_id=0, score=0.3) + tube(FRAMES, tube="p", class_id=1, score=0.1)
    (only,) = analysis(rows)["calibration"]["class_scores"]["bins"]
    assert only == {"confidence": pytest.approx(0.75), "accuracy": 1.0, "count": 1}


def test_reliability_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    said, right = rng.random(500), rng.random(500) < 0.4
    said[:2] = 0.0, 1.0
    gap = 0.0
    for k in range(15):
        inside = [i for i in range(500) if k / 15 <= said[i] < (k + 1) / 15 or (k == 14 and said[i] == 1.0)]
        if inside:
            gap += len(inside) / 500 * abs(np.mean(said[inside]) - np.mean(right[inside]))
    found = reliability(said, right)
    assert found["expected_calibration_error"] == pytest.approx(gap)
    assert sum(each["count"] for each in found["bins"]) == 500
    assert reliability(said + 1, right) is None
    assert reliability(said[:0], right[:0]) is None


def test_parts_count_their_own_actors_and_their_own_mistakes():
    sizes = [(0, 0, 10, 10), (0, 0, 30, 30), (0, 0, 90, 90)]
    truth = [truth_row(f, box, video=f"v{k}") for k, box in enumerate(sizes) for f in FRAMES]
    predictions = tube(FRAMES, sizes[0], video="v0", score=0.9) + tube(FRAMES, sizes[2], video="v2", score=0.8)
    predictions += tube(FRAMES, (200, 0, 210, 10), video="v1", score=0.95)  # small, and nobody is there
    found = analysis(predictions, truth, ("v0", "v1", "v2"), {"v0": 4, "v1": 4, "v2": 7})["breakdowns"]
    assert [(part["name"], part["video_map@0.5"]) for part in found["size"]] == [
        ("small", 0.5), ("medium", 0.0), ("large", 1.0)
    ]  # fmt: skip
    assert [(part["name"], part["truth_tubes"], part["video_map@0.5"]) for part in found["cluster"]] == [
        ("4", 2, pytest.approx(0.25)), ("7", 1, 1.0)
    ]  # fmt: skip


def test_nothing_predicted_is_all_missed():
    found = analysis([])
    assert found["errors"]["kinds"]["missed"] == {"count": 1, "gain": 0.0}
    assert found["confusion"]["matrix"][0] == [0, 0, 0, 1]
    assert found["calibration"] == {"class_scores": None, "box_scores": None}
