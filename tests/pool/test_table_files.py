"""Tables as files, held to PyArrow's own reading and writing of them and to hand-made tables."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.pool import table_files


def test_what_is_no_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="absent: no such file"):
        table_files.read_table(str(tmp_path / "absent"))
    (tmp_path / "file").write_bytes(b"\xff{")
    with pytest.raises(UserError, match=r"file: not a readable Parquet file"):
        table_files.read_table(str(tmp_path / "file"))


SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False), pa.field("count", pa.int32(), nullable=False)])


def test_a_table_is_read_under_its_schema(tmp_path: Path) -> None:
    location = str(tmp_path / "table.parquet")
    table_files.write_table(location, pa.table({"extra": [0.5], "count": pa.array([3], pa.int64()), "name": ["a"]}))
    table = table_files.read_table(location, SCHEMA)
    assert table.schema == SCHEMA
    assert table.to_pylist() == [{"name": "a", "count": 3}]
    assert table_files.read_table(location).column_names == ["extra", "count", "name"]


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"name": ["a"]}, "count"),
        ({"name": ["a"], "count": [1.5]}, "count"),
        ({"name": [None], "count": [1]}, "name"),
        ({"name": [["a"]], "count": [1]}, "name"),
    ],
)
def test_a_table_of_another_schema_names_the_column(tmp_path: Path, columns: dict, column: str) -> None:
    location = str(tmp_path / "table.parquet")
    table_files.write_table(location, pa.table(columns))
    with pytest.raises(UserError, match=rf"table\.parquet: column '{column}'"):
        table_files.read_table(location, SCHEMA)


ENCODED = pa.schema(
    [pa.field("name", pa.dictionary(pa.int32(), pa.string()), nullable=False), pa.field("count", pa.int32())]
)


@pytest.mark.parametrize("names", [[1], [1.5], [["a"]], [{"a": "x"}], [None], None])
def test_a_column_that_is_no_text_to_be_held_once_is_named(tmp_path: Path, names: list | None) -> None:
    location = str(tmp_path / "table.parquet")
    table_files.write_table(location, pa.table({"count": [1]} | ({} if names is None else {"name": names})))
    with pytest.raises(UserError, match=r"table\.parquet: column 'name'"):
        table_files.read_table(location, ENCODED, encoded=["name"])


@pytest.mark.parametrize("schema", [SCHEMA, None])
def test_a_column_that_is_there_twice_is_named(tmp_path: Path, schema: pa.Schema | None) -> None:
    location = str(tmp_path / "table.parquet")
    columns = [pa.array(["a"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, ["name", "count", "count"]), location)
    with pytest.raises(UserError, match=r"table\.parquet: column 'count' is there 2 times, expected once"):
        table_files.read_table(location, schema)


def test_no_other_thread_reads_a_table_whose_bytes_are_pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One aborts an interpreter that ends while it lets go of them: seldom enough that no exit code shows it."""
    location = str(tmp_path / "table.parquet")
    table_files.write_table(location, pa.table({"name": ["a"], "count": [1]}))
    read, threads = pq.ParquetFile.read, []

    def watched(file: pq.ParquetFile, **how: object) -> pa.Table:
        threads.append(how.get("use_threads", True))
        return read(file, **how)

    monkeypatch.setattr(pq.ParquetDataset, "__init__", lambda *_, **__: pytest.fail("a scanner was made"))
    monkeypatch.setattr(pq.ParquetFile, "read", watched)
    assert table_files.read_table(location).num_rows == table_files.read_table(location, SCHEMA).num_rows == 1
    assert threads == [False, False]


def test_only_vectors_are_written_without_a_dictionary(tmp_path: Path) -> None:
    location = str(tmp_path / "table.parquet")
    table = pa.table(
        {
            "name": ["a", "a"],
            "latent": pa.array([[0.5, 0.25], None], pa.list_(pa.float32())),
            "frames": pa.array([[1, 1], []], pa.list_(pa.int32())),
            "boxes": [[{"x": 1.0, "mask": "m"}], [{"x": 1.0, "mask": "m"}]],
        }
    )
    table_files.write_table(location, table)
    row_group = pq.ParquetFile(location).metadata.row_group(0)
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    with_dictionary = {column.path_in_schema for column in columns if column.has_dictionary_page}
    leaves = {"name", "frames.list.element", "boxes.list.element.x", "boxes.list.element.mask"}
    assert with_dictionary == leaves
    assert {column.path_in_schema for column in columns} - with_dictionary == {"latent.list.element"}
    assert table_files.read_table(location).equals(table)
