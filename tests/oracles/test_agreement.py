"""Agreement of two annotators. Oracles: scikit-learn's κ; frames counted and measured by hand."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from hybridal_ray.oracles.agreement import agreement_of, cohens_kappa
from hybridal_ray.pool.ledger import CANNOT_TELL, LABELS_SCHEMA, SECOND_OPINION


def box(x1: float, class_id: int = 0, width: float = 10.0) -> dict:
    edges = {"x1": x1, "y1": 0.0, "x2": x1 + width, "y2": 10.0}
    return {"tube_id": f"{x1}", "class_id": class_id, "mask": None, **edges}


def row(frame: int, *boxes: dict, second: bool = False, answer: str | None = None) -> dict:
    nothing = dict.fromkeys(LABELS_SCHEMA.names)
    facts = {"video_id": "a", "frame": frame, "round": 0, "source": "files", "request": "r", "boxes": list(boxes)}
    return nothing | facts | {"standing": SECOND_OPINION if second else None, "answer": answer}


def test_by_hand() -> None:
    rows = [
        row(0, box(0), box(50, 1)), row(0, box(50, 0), box(0, 0), second=True),  # crossed, one class differs
        row(1, box(0)), row(1, box(5), second=True),  # IoU 1/3: two actors
        row(2), row(2, second=True),
        row(3, box(0, 1)), row(3, box(0, 1, width=20.0), second=True),  # IoU 1/2
        row(4, box(0)), row(4, second=True, answer=CANNOT_TELL),
        row(5, box(0)),
    ]  # fmt: skip
    found = agreement_of(pa.Table.from_pylist(rows, LABELS_SCHEMA), "r")
    assert (found.frames, found.actors, found.told_apart) == (4, 3, 4 / 5)
    assert found.mean_iou == pytest.approx((1 + 1 + 0.5) / 3)
    assert found.actor_f1 == pytest.approx(2 * 3 / (4 + 2 + 0 + 2))
    assert found.class_kappa == pytest.approx(cohen_kappa_score([0, 1, 1], [0, 0, 1]))


def test_corrections_count_and_other_requests_do_not() -> None:
    rows = [row(0, box(80)), row(0, box(0), second=True), row(0, box(0))]
    labels = pa.Table.from_pylist(rows, LABELS_SCHEMA)
    assert agreement_of(labels, "r").mean_iou == 1
    assert agreement_of(labels, "s") is None
    assert agreement_of(labels.slice(0, 1), "r") is None


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2))
def test_kappa_is_scikit_learns(pairs: list[tuple[int, int]]) -> None:
    found = cohens_kappa(pairs)
    if len({value for pair in pairs for value in pair}) == 1:
        assert found is None
    else:
        assert found == pytest.approx(cohen_kappa_score(*zip(*pairs, strict=True)))
