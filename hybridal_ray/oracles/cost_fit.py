"""What labels really cost: the cost model, fitted to the time that annotators took.

Model: seconds of an answer = seconds_per_frame + seconds_per_box · boxes + seconds_per_video · (first of its video),
with no cost below zero (non-negative least squares).
"""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import least_squares, nnls

from hybridal_ray.oracles.cost import CostModel

TERMS = ("seconds_per_video", "seconds_per_frame", "seconds_per_box")
LEAST_ANSWERS = 4  # one more than there are costs, or nothing could be said of the error
# An answer that took this much longer than a robust fit explains was interrupted: somebody went for lunch.
LUNCH_DEVIATIONS, LUNCH_SECONDS = 6.0, 60.0  # whichever is more; standard deviations, estimated by the median


@dataclass(frozen=True)
class FittedCost:
    """A cost model, and how sure it is.

    Attributes:
        model: The costs.
        errors: Standard error of each, in seconds, by the names of `CostModel`; None for a cost that the answers say
            nothing of, being the same in all of them, or that the fit put at its bound of zero.
        residual: Standard deviation of what the model does not explain, in seconds an answer.
        answers: That were fitted.
        left_out: Answers that took so long that something else was being done.
    """

    model: CostModel
    errors: dict[str, float | None]
    residual: float
    answers: int
    left_out: int

    def figures(self) -> dict[str, float]:
        """The costs and their errors, by the names that tracking shows."""
        costs = {f"fitted_{name}": getattr(self.model, name) for name in TERMS}
        errors = {f"fitted_{name}_error": error for name, error in self.errors.items() if error is not None}
        return {**costs, **errors, "fitted_answers": float(self.answers)}

    def minutes(self, videos: float, frames: float, boxes: float) -> tuple[float, float]:
        """What a purchase takes, and the standard error that the costs' own errors give it (as if independent)."""
        amounts = dict(zip(TERMS, (videos, frames, boxes), strict=True))
        seconds = sum(getattr(self.model, name) * amount for name, amount in amounts.items())
        variance = sum(((self.errors[name] or 0.0) * amount) ** 2 for name, amount in amounts.items())
        return seconds / 60, float(np.sqrt(variance)) / 60


def fit_cost(labels: pa.Table) -> FittedCost | None:
    """Fits the cost model to the answers of a ledger that tell how long they took.

    Second opinions, corrections and answers that it cannot be told took time like any others and are fitted too. An
    annotator opens a video with the first answer to it in a request.

    Args:
        labels: Table of `LABELS_SCHEMA`.

    Returns:
        None where there are fewer than `LEAST_ANSWERS`.
    """
    design, seconds = _observations(labels)
    if len(seconds) == 0:
        return None
    usual = _uninterrupted(design, seconds)
    kept, taken = design[usual], seconds[usual]
    if len(taken) < LEAST_ANSWERS:
        return None
    costs, norm = nnls(kept, taken)
    free = costs > 0
    degrees = max(len(taken) - int(free.sum()), 1)
    variance = norm**2 / degrees
    return FittedCost(
        model=CostModel(**dict(zip(TERMS, costs.tolist(), strict=True))),
        errors=_errors(kept, free, variance),
        residual=float(np.sqrt(variance)),
        answers=len(taken),
        left_out=int((~usual).sum()),
    )


def cost_of_answers(labels: pa.Table, configured: CostModel) -> CostModel:
    """What answers of people are expected to cost: as those so far took, where they tell; else as configured.

    Args:
        labels: Table of `LABELS_SCHEMA`.
        configured: Its overlap holds in both cases.
    """
    fitted = fit_cost(labels)
    return configured if fitted is None else replace(fitted.model, overlap=configured.overlap)


def _uninterrupted(design: npt.NDArray[np.float64], seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(N,), whether an answer took no longer than one that was not interrupted may."""
    robust = least_squares(
        lambda costs: design @ costs - seconds,
        x0=np.full(len(TERMS), max(float(np.median(seconds)) / len(TERMS), 1e-3)),
        bounds=(0, np.inf),
        loss="soft_l1",
    ).x
    residuals = seconds - design @ robust
    deviation = 1.4826 * float(np.median(np.abs(residuals)))  # that of a normal distribution with this median
    return residuals <= max(LUNCH_DEVIATIONS * deviation, LUNCH_SECONDS)


def _errors(design: npt.NDArray[np.float64], free: npt.NDArray[np.bool_], variance: float) -> dict[str, float | None]:
    """Standard errors of the costs above zero: of ordinary least squares on them, σ²·(XᵀX)⁻¹."""
    errors: dict[str, float | None] = dict.fromkeys(TERMS)
    active = design[:, free]
    if active.shape[1] and np.linalg.matrix_rank(active) == active.shape[1]:
        spread = np.sqrt(np.diag(variance * np.linalg.inv(active.T @ active)))
        for place, error in zip(np.flatnonzero(free).tolist(), spread.tolist(), strict=True):
            errors[TERMS[place]] = error
    return errors


def _observations(labels: pa.Table) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(N, 3) opens its video, 1, boxes; and (N,) seconds of each timed answer."""
    opened: set[tuple[str | None, str | None, str]] = set()
    rows, seconds = [], []
    order = labels.append_column("place", pa.array(np.arange(len(labels))))
    for row in order.sort_by([("answered_at", "ascending"), ("place", "ascending")]).to_pylist():
        visit = (row["annotator"], row["request"], row["video_id"])
        opens = visit not in opened
        opened.add(visit)
        if row["seconds"] is not None:
            rows.append((float(opens), 1.0, float(len(row["boxes"]))))
            seconds.append(row["seconds"])
    return np.array(rows, dtype=np.float64).reshape(-1, 3), np.array(seconds, dtype=np.float64)
