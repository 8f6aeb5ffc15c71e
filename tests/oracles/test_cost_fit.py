"""The fitted cost model. Oracles: costs that the times were made of; numpy's lstsq and its textbook errors."""

import numpy as np
import pyarrow as pa
import pytest

from hybridal_ray.oracles.cost_fit import TERMS, fit_cost
from hybridal_ray.pool.ledger import LABELS_SCHEMA

TRUE = np.array([10.0, 3.0, 12.0])
BOX = {"tube_id": "a", "class_id": 0, "x1": 0.0, "y1": 0.0, "x2": 1.0, "y2": 1.0, "mask": None}


def ledger(noise: float, videos: int = 20, frames: int = 4, seed: int = 0) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Answers whose times are made of the true costs, the design (N, 3), and the times (N,)."""
    rng = np.random.default_rng(seed)
    rows, design, times = [], [], []
    for video in range(videos):
        for frame in range(frames):
            boxes = int(rng.integers(0, 4))
            facts = np.array([float(frame == 0), 1.0, float(boxes)])
            seconds = float(facts @ TRUE + rng.normal() * noise)
            row = dict.fromkeys(LABELS_SCHEMA.names) | {"video_id": f"v{video}", "frame": frame, "round": 0}
            rows.append(row | {"source": "files", "seconds": seconds, "boxes": [BOX] * boxes, "request": "r"})
            design.append(facts)
            times.append(seconds)
    return pa.Table.from_pylist(rows, LABELS_SCHEMA), np.array(design), np.array(times)


def test_exact_times_give_back_the_costs() -> None:
    fitted = fit_cost(ledger(noise=0.0)[0])
    assert [getattr(fitted.model, name) for name in TERMS] == pytest.approx(TRUE)
    assert fitted.residual == pytest.approx(0, abs=1e-9)
    assert fitted.minutes(videos=6, frames=10, boxes=20)[0] == pytest.approx((60 + 30 + 240) / 60)


def test_costs_and_errors_are_those_of_least_squares() -> None:
    labels, design, times = ledger(noise=2.0)
    fitted = fit_cost(labels)
    expected, squares, _, _ = np.linalg.lstsq(design, times)
    assert [getattr(fitted.model, name) for name in TERMS] == pytest.approx(expected)
    variance = squares[0] / (len(times) - 3)
    errors = np.sqrt(np.diag(variance * np.linalg.inv(design.T @ design)))
    assert [fitted.errors[name] for name in TERMS] == pytest.approx(errors)
    assert fitted.answers == 80


def test_the_error_covers_the_truth_as_often_as_it_should() -> None:
    """Within two standard errors in about 95 of 100 experiments."""
    inside = 0
    for seed in range(100):
        fitted = fit_cost(ledger(noise=3.0, seed=seed)[0])
        inside += abs(fitted.model.seconds_per_box - 12.0) <= 2 * fitted.errors["seconds_per_box"]
    assert 88 <= inside <= 100


def test_no_cost_is_below_zero_and_lunch_is_left_out() -> None:
    labels, _, times = ledger(noise=0.0)
    rows = labels.to_pylist()
    for row in rows:
        row["seconds"] = max(0.0, 20.0 - 5 * len(row["boxes"]))  # the more boxes, the faster
    rows[3]["seconds"] = 3600.0
    fitted = fit_cost(pa.Table.from_pylist(rows, LABELS_SCHEMA))
    assert fitted.model.seconds_per_box == 0
    assert fitted.errors["seconds_per_box"] is None
    assert (fitted.left_out, fitted.answers) == (1, len(times) - 1)


def test_too_few_times_say_nothing() -> None:
    labels = ledger(noise=0.0, videos=1, frames=3)[0]
    assert fit_cost(labels) is None
    assert fit_cost(LABELS_SCHEMA.empty_table()) is None
