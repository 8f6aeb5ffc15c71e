"""Oracle: the table that the files were written from."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_up_pools import RELAXED, score_row

from hybridal_ray.errors import UserError
from hybridal_ray.pool.round_tables import SCORES_SCHEMA
from hybridal_ray.pool.storage import write_bytes
from hybridal_ray.pool.table_files import write_table
from hybridal_ray.selection.score_batches import ScoreParts, ScoreTable, cut_anew

ROWS = [
    score_row(f"v{i}", None if i == 4 else float(i), None if i == 4 else [float(i), 1.0], [i, 2 * i]) for i in range(11)
]
TABLE = pa.Table.from_pylist(ROWS, schema=SCORES_SCHEMA)
COLUMNS = ["latent", "video_id"]


def write_parts(directory, sizes):
    start = 0
    for number, size in enumerate(sizes):
        write_table(f"{directory}/part-{number:05d}.parquet", TABLE.slice(start, size))
        start += size
    return ScoreParts(str(directory))


@pytest.mark.parametrize("rows", [1, 3, 4, 11, 100])
@pytest.mark.parametrize("sizes", [[11], [1] * 11, [4, 0, 7], [2, 9]])
def test_files_are_cut_like_the_table_wherever_they_begin(tmp_path, sizes, rows):
    parts = write_parts(tmp_path, sizes)
    expected = [TABLE.select(COLUMNS).slice(start, rows) for start in range(0, 11, rows)]
    for source in (parts, ScoreTable(TABLE)):
        batches = list(source.batches(COLUMNS, rows))
        assert batches == expected
        assert list(source.batches(COLUMNS, rows)) == batches


@RELAXED
@given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 10))
def test_no_row_is_lost_or_moved(sizes, rows):
    pieces, start = [], 0
    for size in sizes:
        pieces.append(pa.table({"number": pa.array(range(start, start + size), pa.int64())}))
        start += size
    cut = list(cut_anew(pieces, rows))
    assert [len(table) for table in cut[:-1]] == [rows] * (len(cut) - 1)
    assert [number for table in cut for number in table["number"].to_pylist()] == list(range(start))


def test_a_video_that_was_taken_out_of_its_part_counts_once(tmp_path):
    write_table(f"{tmp_path}/part-00000-0000.parquet", TABLE.slice(0, 1))
    write_table(f"{tmp_path}/part-00000.parquet", TABLE)
    assert sum(map(len, ScoreParts(str(tmp_path)).batches(COLUMNS, 4))) == 11


def test_without_parts_there_are_no_rows(tmp_path):
    assert list(ScoreParts(str(tmp_path / "none")).batches(COLUMNS, 4)) == []


def test_a_file_that_is_no_part_is_named(tmp_path):
    write_bytes(f"{tmp_path}/part-00000.parquet", b"not a table")
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a readable part"):
        list(ScoreParts(str(tmp_path)).batches(COLUMNS, 4))


def test_a_part_without_a_column_is_named(tmp_path):
    write_table(f"{tmp_path}/part-00000.parquet", TABLE.drop_columns(["latent"]))
    with pytest.raises(UserError, match=r"part-00000\.parquet: not a readable part"):
        list(ScoreParts(str(tmp_path)).batches(COLUMNS, 4))
