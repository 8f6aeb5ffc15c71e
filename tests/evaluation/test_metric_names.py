"""Oracle: the names that an evaluation gives its figures."""

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.evaluation.metric_names import check_metrics, known_metrics
from hybridal_ray.evaluation.metrics import evaluate_predictions
from hybridal_ray.pool.round_tables import PREDICTIONS_SCHEMA
from hybridal_ray.pool.tables import TUBES_SCHEMA

COUNTS = {"videos", "truth_boxes", "truth_tubes"}  # the same in every round


def test_the_names_are_those_of_an_evaluation() -> None:
    keys = {"video_id": "v", "tube_id": "a", "class_id": 0, "frame": 0}
    row = keys | {"x1": 1.0, "y1": 1.0, "x2": 9.0, "y2": 9.0, "mask": None}
    truth = TUBES_SCHEMA.empty_table().from_pylist([row], TUBES_SCHEMA)
    metrics = evaluate_predictions(PREDICTIONS_SCHEMA.empty_table(), truth, ["v"], ["wave"], resamples=0)
    told = {name for name, value in metrics.items() if not isinstance(value, dict)}

    assert len(set(known_metrics())) == len(known_metrics())
    assert set(known_metrics()) == told - COUNTS


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    check_metrics(known_metrics(), "--metric")
    with pytest.raises(
        UserError, match=r"^--metric: no figure 'video_map0.5' is known.*; did you mean 'video_map@0.5'"
    ):
        check_metrics(["frame_map@0.5", "video_map0.5"], "--metric")
