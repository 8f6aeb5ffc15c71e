"""Oracle: the rows as a multiset: equal ones hash alike in any order and any chunks, others do not."""

import random

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.pool.identity import content_hash

SCHEMA = pa.schema(
    [
        pa.field("name", pa.string()),
        pa.field("frame", pa.int32()),
        pa.field("x", pa.float32()),
        pa.field("mask", pa.string()),
        pa.field("uri", pa.string()),
    ]
)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.sampled_from("ab"),
            "frame": st.integers(0, 3),
            "x": st.sampled_from([0.5, 1.0, 2.5]),
            "mask": st.none() | st.just("0d0"),
            "uri": st.just("here"),
        }
    ),
    max_size=12,
)


def hashed(rows: list[dict], name: str = "pool", classes: tuple[str, ...] = ("run",), chunks: int = 1) -> str:
    parts = [pa.Table.from_pylist(rows[start::chunks], SCHEMA) for start in range(chunks)]
    return content_hash(name, classes, [(pa.concat_tables(parts), SCHEMA, ("uri",))])


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 3))
def test_order_chunks_and_columns_left_out_do_not_count(rows: list[dict], order: random.Random, chunks: int) -> None:
    moved = [row | {"uri": "there"} for row in rows]
    order.shuffle(moved)
    assert hashed(moved, chunks=chunks) == hashed(rows)


@given(ROWS, ROWS)
def test_other_rows_are_another_pool(one: list[dict], other: list[dict]) -> None:
    def key(row: dict) -> str:
        return repr(sorted(row.items()))

    same = sorted(one, key=key) == sorted(other, key=key)
    assert (hashed(one) == hashed(other)) == same


def test_name_and_classes_count() -> None:
    assert len({hashed([]), hashed([], name="other"), hashed([], classes=("walk",)), hashed([], classes=())}) == 4
