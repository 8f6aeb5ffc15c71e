"""Oracles: the bytes and rows that were written; Python's own file functions."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.storage_patience import may_pass


@given(parts=st.lists(st.text("abc.", min_size=1, max_size=4), min_size=1, max_size=3))
@pytest.mark.parametrize("root", ["/", "/runs/one", "/runs/one/", "s3://bucket/run", "runs"])
def test_join_puts_exactly_one_slash_between_parts(root: str, parts: list[str]) -> None:
    joined = storage.join(root, *parts)
    assert joined.startswith(root.rstrip("/"))
    assert joined[len(root.rstrip("/")) :] == "".join(f"/{part}" for part in parts)


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("clip.avi", "/pool/clip.avi"),
        ("/data/clip.avi", "/data/clip.avi"),
        ("s3://bucket/clip.avi", "s3://bucket/clip.avi"),
    ],
)
def test_only_relative_locations_are_resolved_against_the_pool(uri: str, expected: str) -> None:
    assert storage.resolve_uri(uri, "/pool") == expected


def test_a_written_file_is_read_back_and_parents_are_made(tmp_path: Path) -> None:
    location = storage.join(str(tmp_path), "a", "b", "file.bin")
    storage.write_bytes(location, b"one")
    storage.write_bytes(location, b"two")
    assert Path(location).read_bytes() == storage.read_bytes(location) == b"two"
    assert storage.exists(location)
    assert not storage.exists(location + "x")


def test_a_write_that_fails_leaves_the_old_content_and_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    location = str(tmp_path / "file.bin")
    storage.write_bytes(location, b"old")

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", disk_full)
    with pytest.raises(UserError, match=r"file\.bin.*No space left"):
        storage.write_bytes(location, b"new")
    assert Path(location).read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["file.bin"]


def test_a_file_in_the_way_of_a_folder_is_the_users_to_mend(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("not a folder")
    with pytest.raises(UserError, match=r"run/config\.yaml: cannot be written"):
        storage.write_bytes(storage.join(str(tmp_path), "run", "config.yaml"), b"")


def test_a_store_that_is_not_local_is_written_through_its_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem())
    monkeypatch.setattr(storage, "filesystem", lambda location: (store, location.removeprefix("s3://")))
    storage.write_json("s3://pool.json", {"b": 1, "a": [2]})
    assert storage.read_json("s3://pool.json") == {"a": [2], "b": 1}
    assert (tmp_path / "pool.json").exists()


@pytest.mark.parametrize("name", ["plain.bin", "with space.bin", "hash#1.bin", "question?.bin", "ümlaut.bin"])
def test_keys_in_a_store_are_literal(name: str) -> None:
    _, path = storage.filesystem(f"gs://bucket/{name}")
    assert path == f"bucket/{name}"


def test_file_uris_are_percent_encoded(tmp_path: Path) -> None:
    file = tmp_path / "with space#.bin"
    file.write_bytes(b"content")
    assert storage.read_bytes(file.as_uri()) == b"content"


def test_an_unknown_scheme_is_named() -> None:
    with pytest.raises(UserError, match="nowhere://bucket/key"):
        storage.exists("nowhere://bucket/key")


@pytest.mark.parametrize(
    "look",
    [
        storage.exists,
        storage.is_directory,
        storage.size_of,
        storage.state_of,
        storage.list_files,
        storage.list_tree,
        storage.read_bytes,
    ],
)
@pytest.mark.parametrize("when", ["found", "asked"])
def test_a_store_that_cannot_be_reached_is_told_in_one_line_and_is_worth_another_try(
    monkeypatch: pytest.MonkeyPatch, look: Callable[[str], object], when: str
) -> None:
    class Gone(pafs.LocalFileSystem):
        def get_file_info(self, _: object) -> None:
            raise OSError("no\nanswer")

        def open_input_stream(self, _: object) -> None:
            raise OSError("no answer")

    class Stores:
        @staticmethod
        def from_uri(_: str) -> tuple[pafs.FileSystem, str]:
            if when == "found":
                raise OSError("no\nanswer")
            return Gone(), "bucket/key"

    monkeypatch.setattr(pafs, "FileSystem", Stores)
    with pytest.raises(UserError, match=r"^s3://bucket/key: cannot be (reached|read): no answer$") as caught:
        look("s3://bucket/key")
    assert may_pass(caught.value)


def test_list_files_gives_files_by_name_and_no_folders(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.parquet", "c.json"):
        (tmp_path / name).touch()
    (tmp_path / "d.parquet").mkdir()
    root = str(tmp_path)
    assert storage.list_files(root, ".parquet") == [f"{root}/a.parquet", f"{root}/b.parquet"]
    assert storage.list_files(f"{root}/absent") == []


@pytest.mark.parametrize("read", [storage.read_bytes, storage.read_json, storage.read_table])
def test_what_cannot_be_read_is_named(tmp_path: Path, read: object) -> None:
    assert callable(read)
    with pytest.raises(UserError, match="absent: no such file"):
        read(str(tmp_path / "absent"))
    with pytest.raises(UserError, match=tmp_path.name):
        read(str(tmp_path))


def test_malformed_content_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"\xff{")
    with pytest.raises(UserError, match=r"file: not valid JSON"):
        storage.read_json(str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"file: not a readable Parquet file"):
        storage.read_table(str(tmp_path / "file"))


def test_equal_json_is_equal_bytes(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "one"), {"a": 1, "b": 2})
    storage.write_json(str(tmp_path / "two"), {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


SCHEMA = pa.schema([pa.field("name", pa.string(), nullable=False), pa.field("count", pa.int32(), nullable=False)])


def test_a_table_is_read_under_its_schema(tmp_path: Path) -> None:
    location = str(tmp_path / "table.parquet")
    storage.write_table(location, pa.table({"extra": [0.5], "count": pa.array([3], pa.int64()), "name": ["a"]}))
    table = storage.read_table(location, SCHEMA)
    assert table.schema == SCHEMA
    assert table.to_pylist() == [{"name": "a", "count": 3}]
    assert storage.read_table(location).column_names == ["extra", "count", "name"]


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
    storage.write_table(location, pa.table(columns))
    with pytest.raises(UserError, match=rf"table\.parquet: column '{column}'"):
        storage.read_table(location, SCHEMA)


ENCODED = pa.schema(
    [pa.field("name", pa.dictionary(pa.int32(), pa.string()), nullable=False), pa.field("count", pa.int32())]
)


@pytest.mark.parametrize("names", [[1], [1.5], [["a"]], [{"a": "x"}], [None], None])
def test_a_column_that_is_no_text_to_be_held_once_is_named(tmp_path: Path, names: list | None) -> None:
    location = str(tmp_path / "table.parquet")
    storage.write_table(location, pa.table({"count": [1]} | ({} if names is None else {"name": names})))
    with pytest.raises(UserError, match=r"table\.parquet: column 'name'"):
        storage.read_table(location, ENCODED, encoded=["name"])


@pytest.mark.parametrize("schema", [SCHEMA, None])
def test_a_column_that_is_there_twice_is_named(tmp_path: Path, schema: pa.Schema | None) -> None:
    location = str(tmp_path / "table.parquet")
    columns = [pa.array(["a"]), pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, ["name", "count", "count"]), location)
    with pytest.raises(UserError, match=r"table\.parquet: column 'count' is there 2 times, expected once"):
        storage.read_table(location, schema)


def test_no_other_thread_reads_a_table_whose_bytes_are_pythons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One aborts an interpreter that ends while it lets go of them: seldom enough that no exit code shows it."""
    location = str(tmp_path / "table.parquet")
    storage.write_table(location, pa.table({"name": ["a"], "count": [1]}))
    read, threads = pq.ParquetFile.read, []

    def watched(file: pq.ParquetFile, **how: object) -> pa.Table:
        threads.append(how.get("use_threads", True))
        return read(file, **how)

    monkeypatch.setattr(pq.ParquetDataset, "__init__", lambda *_, **__: pytest.fail("a scanner was made"))
    monkeypatch.setattr(pq.ParquetFile, "read", watched)
    assert storage.read_table(location).num_rows == storage.read_table(location, SCHEMA).num_rows == 1
    assert threads == [False, False]


def test_files_below_are_found_at_any_depth(tmp_path: Path) -> None:
    for name in ("b.xml", "day/one/a.xml", "day/a.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    root = str(tmp_path)
    assert storage.files_below(root, ".xml") == [f"{root}/b.xml", f"{root}/day/one/a.xml"]
    assert storage.files_below(f"{root}/absent") == []


def test_a_file_written_beside_its_place_is_published_whole(tmp_path: Path) -> None:
    target, partial = tmp_path / "clusters.parquet", tmp_path / ".clusters.partial"
    target.write_bytes(b"old")
    partial.write_bytes(b"new")
    storage.publish(str(partial), str(target))
    assert target.read_bytes() == b"new"
    assert not partial.exists()
    with pytest.raises(UserError, match=r"clusters\.parquet: cannot be written: .*No such file"):
        storage.publish(str(partial), str(target))


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
    storage.write_table(location, table)
    row_group = pq.ParquetFile(location).metadata.row_group(0)
    columns = [row_group.column(index) for index in range(row_group.num_columns)]
    with_dictionary = {column.path_in_schema for column in columns if column.has_dictionary_page}
    leaves = {"name", "frames.list.element", "boxes.list.element.x", "boxes.list.element.mask"}
    assert with_dictionary == leaves
    assert {column.path_in_schema for column in columns} - with_dictionary == {"latent.list.element"}
    assert storage.read_table(location).equals(table)


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).touch()
    with pytest.raises(UserError, match=r"the name of .*caf\\xe9\.mp4' is not UTF-8; rename that file"):
        storage.list_tree(str(tmp_path))
