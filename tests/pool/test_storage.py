"""Oracles: the bytes and rows that were written; Python's own file functions."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow.fs as pafs
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


@pytest.mark.parametrize("read", [storage.read_bytes, storage.read_json])
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


def test_equal_json_is_equal_bytes(tmp_path: Path) -> None:
    storage.write_json(str(tmp_path / "one"), {"a": 1, "b": 2})
    storage.write_json(str(tmp_path / "two"), {"b": 2, "a": 1})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


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


def test_links_that_lead_back_are_not_followed_and_others_are(tmp_path: Path) -> None:
    """Oracle: the files as they were made, each by the one path that leads to it without going through a link again."""
    top, beside = tmp_path / "top", tmp_path / "beside"
    for file in (top / "a.txt", top / "inner" / "b.txt", beside / "deep" / "c.txt"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (top / "inner" / "round").symlink_to(top)
    (top / "again").symlink_to(top / "inner")
    (top / "out").symlink_to(beside)
    (top / "out2").symlink_to(beside)
    (beside / "back").symlink_to(top)
    (top / "gone").symlink_to(tmp_path / "absent")
    (top / "link.txt").symlink_to(top / "a.txt")
    for location in (str(top), top.as_uri()):
        assert storage.list_tree(location) == ["a.txt", "inner/b.txt", "link.txt", "out/deep/c.txt"]
    assert storage.list_tree(str(tmp_path / "absent")) == []


def test_a_name_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.mp4")).touch()
    with pytest.raises(UserError, match=r"the name of .*caf\\xe9\.mp4' is not UTF-8; rename that file"):
        storage.list_tree(str(tmp_path))
