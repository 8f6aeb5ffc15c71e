"""Oracles: Python's own pickle on harmless content; hostile files must leave no trace of having been run."""

import contextlib
import io
import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from hybridal_ray.errors import UserError
from hybridal_ray.pool import untrusted
from hybridal_ray.pool.untrusted import inner_path, parse_json, parse_xml, read_bounded, unpickle


def pickled(folder: Path, content: object, protocol: int = 2) -> str:
    file = folder / "content.pkl"
    file.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return str(file)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_containers_come_back(tmp_path: Path, protocol: int) -> None:
    content = {
        "labels": ["a", "b"],
        ("key", 1): {1.5, None},
        "big": np.arange(6, dtype=">i4").reshape(2, 3).T,
        "scalar": np.float32(0.5),
        "words": np.array(["x", "yy"]),
        "ordered": OrderedDict(a=1),
        "bytes": b"\x80\x00",
        "wide": 1 << 70,
    }
    found = unpickle(pickled(tmp_path, content, protocol))
    assert found.keys() == content.keys()
    for key in ("labels", ("key", 1), "scalar", "bytes", "wide"):
        assert found[key] == content[key]
    assert dict(found["ordered"]) == {"a": 1}
    for key in ("big", "words"):
        np.testing.assert_array_equal(found[key], content[key])
        assert found[key].dtype == content[key].dtype


@given(
    array=npst.arrays(
        st.sampled_from(["u1", "i8", "f4", ">f8", "?", "U3"]), npst.array_shapes(min_dims=0, max_dims=3, min_side=0)
    ),
    protocol=st.integers(0, 5),
)
def test_any_array_comes_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, protocol: int) -> None:
    found = unpickle(pickled(tmp_path_factory.mktemp("pickle"), array, protocol))
    np.testing.assert_array_equal(found, array)


def test_a_pickle_of_python_2_is_read(tmp_path: Path) -> None:
    """The opcodes that Python 2 and NumPy 1 write for ``{'boxes': array([[200, 103]], dtype=uint8)}``."""
    content = (
        b"(dp0\nS'boxes'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
        b"tp6\nRp7\n(I1\n(I1\nI2\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNN"
        b"I-1\nI-1\nI0\ntp14\nbI00\nS'\\xc8g'\np15\ntp16\nbs."
    )
    np.testing.assert_array_equal(unpickle(pickled(tmp_path, content))["boxes"], [[200, 103]])


class Command:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_hostile_pickle_is_refused_and_not_run(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "run"
    with pytest.raises(UserError, match=r"refused: it calls (posix|nt)\.mkdir"):
        unpickle(pickled(tmp_path, {"videos": [Command(marker)]}, protocol))
    assert not marker.exists()


def nested(levels: int) -> list:
    inner: list = []
    for _ in range(levels):
        inner = [inner]
    return inner


def circular() -> list:
    whole: list = []
    whole.append(whole)
    return whole


def claims_shape(shape: tuple[int, ...]) -> bytes:
    honest = pickle.dumps(np.zeros(3, dtype=np.uint8), 2)
    return honest.replace(b"K\x03\x85", b"".join(b"J" + struct.pack("<i", size) for size in shape) + b"\x86")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (np.array([object()], dtype=object), "expected numbers or strings"),
        (np.zeros(2, dtype=[("a", "i4")]), "expected numbers or strings|calls|not a readable pickle"),
        (nested(300), "nested more than"),
        (circular(), "nested more than"),
        (claims_shape((100_000, 100_000)), "claims 10000000000 bytes"),
        (claims_shape((-1, -3)), "of shape"),
        (b"\x80\x02r" + struct.pack("<I", 0xFFFFFFFF) + b".", "memo slots|not a readable"),
        (b"\x80\x02]r" + struct.pack("<I", 0x0FFFFFFF) + b".", "claims 268435455 memo slots"),
        (b"\x80\x04\x8e" + struct.pack("<Q", 10 << 30) + b"abc", "not a readable pickle"),
        (b"", "not a readable pickle"),
        (pickle.dumps({"a": 1})[:-3], "not a readable pickle"),
    ],
    ids=["objects", "record", "deep", "circular", "10 GB", "negative", "memo", "memo 2", "10 GB bytes", "empty", "cut"],
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, content: object, why: str) -> None:
    with pytest.raises(UserError, match=why) as caught:
        unpickle(pickled(tmp_path, content))
    assert "content.pkl" in str(caught.value)


def test_what_is_referred_to_many_times_is_read_once(tmp_path: Path) -> None:
    layer: list = ["x"]
    for _ in range(60):  # 2 to the 60th when written out
        layer = [layer, layer]
    assert unpickle(pickled(tmp_path, layer))[0][1] is not None


@given(st.binary(max_size=200))
def test_no_pickle_does_anything_but_load_or_be_refused(tmp_path_factory: pytest.TempPathFactory, tail: bytes) -> None:
    whole = pickle.dumps({"a": np.arange(3), "b": [1, "x"]}, 2)
    cut = len(tail) % len(whole)
    with contextlib.suppress(UserError):
        unpickle(pickled(tmp_path_factory.mktemp("pickle"), whole[:cut] + tail + whole[cut + len(tail) :]))


BOMB = (
    """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "lol"><!ENTITY c "&b;&b;&b;&b;">]><annotations>&c;</annotations>"""
)
OUTSIDE = (
    """<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>"""
)


@pytest.mark.parametrize(
    ("content", "why"),
    [(BOMB, "refused"), (OUTSIDE, "refused"), ("<a><b></a>", "not valid XML"), ("", "not valid XML")],
)
def test_hostile_and_broken_xml_is_refused(tmp_path: Path, content: str, why: str) -> None:
    file = tmp_path / "labels.xml"
    file.write_text(content)
    with pytest.raises(UserError, match=why) as caught:
        parse_xml(str(file))
    assert "labels.xml" in str(caught.value)


@pytest.mark.parametrize("content", ["{", "[" * 100_000, '"\\ud800'])
def test_broken_json_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.json"
    file.write_text(content)
    with pytest.raises(UserError, match="not valid JSON"):
        parse_json(str(file))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "labels.pkl"
    with file.open("wb") as sparse:
        sparse.truncate(10 << 30)
    monkeypatch.setattr(untrusted.storage, "read_bytes", lambda _: pytest.fail("was read"))
    with pytest.raises(UserError, match="10737418240 bytes"):
        read_bounded(str(file))
    with pytest.raises(UserError, match="no such file"):
        read_bounded(str(tmp_path / "absent"))


@pytest.mark.parametrize("name", ["../video.mp4", "/etc/passwd", "a/../../b", "..\\b", "C:\\b", "", "a\0b", "a/.."])
def test_a_path_that_climbs_out_of_its_folder_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"labels\.xml: names the file"):
        inner_path(name, "labels.xml")


@pytest.mark.parametrize("name", ["video.mp4", "Biking/v_Biking_g01_c01", "a..b.mp4", "ü b/c#?.avi"])
def test_a_path_inside_its_folder_is_kept(name: str) -> None:
    assert inner_path(name, "labels.xml") == name


@pytest.mark.data
def test_the_real_pickles_are_read_as_pickle_reads_them(hybridal_data: Path) -> None:
    for file in [
        hybridal_data / "ucf101_24/pyannot.pkl",
        *(hybridal_data / "ava_multisports_format_samples").glob("*.pkl"),
    ]:
        ours = unpickle(str(file))
        theirs = pickle.load(io.BytesIO(file.read_bytes()), encoding="latin1")
        assert_same(ours, theirs)


def assert_same(ours: object, theirs: object) -> None:
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray)
        assert ours.dtype == theirs.dtype
        np.testing.assert_array_equal(ours, theirs)
    elif isinstance(theirs, dict):
        assert isinstance(ours, dict)
        assert ours.keys() == theirs.keys()
        for key, value in theirs.items():
            assert_same(ours[key], value)
    elif isinstance(theirs, list | tuple):
        assert isinstance(ours, type(theirs))
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert ours == theirs
