"""Files from outside, read without trusting them: pickles, XML, JSON, and the names of files inside them.

A pickle is a program, an XML file may name other files or swell a thousandfold, a name may climb out of its folder,
and a header may claim ten gigabytes. What is refused is refused with the file and the reason. Pickled arrays are
never built by NumPy's own unpickling, which believes what it is told of types and shapes, but from their bytes here.
"""

import codecs
import io
import json
import math
import pickle
import pickletools
import re
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Any
from xml.etree.ElementTree import Element, ParseError

import numpy as np
import numpy.typing as npt
from defusedxml import DefusedXmlException
from defusedxml import ElementTree as SafeTree

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage

MAX_BYTES = 1 << 30  # of an annotation file; UCF101-24's is 4 MB, AVA's 17 MB
MAX_ARRAY_BYTES = 1 << 31  # of one array, once expanded
MAX_DEPTH = 200
_OPERATIONS = {operation.code: operation for operation in pickletools.opcodes}
_PLAIN_DTYPE = re.compile(r"^[<>|=]?[biufSU?]\d*$")


def read_bounded(location: str, max_bytes: int = MAX_BYTES) -> bytes:
    """The content of a file that is not larger than it may be.

    Raises:
        UserError: There is no such file, or it is larger.
    """
    size = storage.size_of(location)
    if size > max_bytes:
        raise UserError(f"{location}: {size} bytes, expected an annotation file of at most {max_bytes}")
    return storage.read_bytes(location)


def read_text(location: str, errors: str = "strict") -> str:
    """The text of such a file, UTF-8 with or without the mark that Windows programs begin it with.

    Args:
        location: Of the file.
        errors: What becomes of other bytes, as in `bytes.decode`.

    Raises:
        UserError: As `read_bounded`.
        UnicodeDecodeError: It is not UTF-8.
    """
    return read_bounded(location).decode("utf-8-sig", errors)


def parse_json(location: str) -> Any:
    """Parses a JSON file of bounded size.

    Raises:
        UserError: It is absent, too large, or not JSON.
    """
    try:
        return json.loads(read_bounded(location))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{location}: not valid JSON: {error}") from error


def parse_xml(location: str) -> Element:
    """Parses an XML file that declares no entities and refers to nothing outside itself.

    Raises:
        UserError: It is absent, too large, not XML, or hostile.
    """
    return parse_xml_content(read_bounded(location), location)


def parse_xml_content(content: bytes, location: str) -> Element:
    """The same of what was read already, such as a file of an archive; `location` is for the message."""
    try:
        return SafeTree.fromstring(content, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UserError(f"{location}: refused, it declares entities or a document type: {error!r}") from error
    except (ParseError, ValueError, LookupError) as error:  # an encoding that Python does not know
        raise UserError(f"{location}: not valid XML: {error}") from error


def inner_path(name: str, location: str) -> str:
    """A name that a file from outside gives to another, checked to stay inside the folder it is looked for in.

    Args:
        name: Such as ``Biking/v_Biking_g01_c01``.
        location: The file that gives it, for the message.

    Raises:
        UserError: It is absolute, or climbs with ``..``.
    """
    plain = name.replace("\\", "/")
    path = PurePosixPath(plain)
    if not plain or "\0" in plain or path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", plain):
        raise UserError(f"{location}: names the file {name!r}, expected a path that stays inside its folder")
    return str(path)


def unpickle(location: str) -> Any:
    """Reads a pickle of NumPy arrays and plain containers, of Python 2 (``latin1``) or 3.

    Returns:
        Dicts, lists, tuples, sets, strings, bytes, numbers, None, and arrays of numbers or strings.

    Raises:
        UserError: It is absent, too large, damaged, or holds anything else; nothing of it has been run.
    """
    content = read_bounded(location)
    try:
        _refuse_wild_claims(content)
        found = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
        return _settle(found, {}, 0)
    except _Refused as error:
        raise UserError(f"{location}: refused: {error}") from error
    except Exception as error:  # a damaged pickle raises whatever its operations stumble over
        raise UserError(f"{location}: not a readable pickle: {type(error).__name__}: {error}") from error


class _Refused(Exception):
    """What a pickle holds is not admitted; the message says what."""


def _refuse_wild_claims(content: bytes) -> None:
    """Memo slots are allocated up to the highest number named, so that a few bytes could claim all memory."""
    stream, steps = io.BytesIO(content), 0
    while code := stream.read(1):
        opcode = _OPERATIONS.get(code.decode("latin1"))
        if opcode is None:
            raise _Refused(f"it holds {code!r}, which is no operation of a pickle")
        if opcode.name == "STRING":  # of Python 2: bytes, for which pickletools expects text
            argument: Any = stream.readline()
        else:
            argument = opcode.arg.reader(stream) if opcode.arg is not None else None
        steps += 1
        if opcode.name in ("PUT", "LONG_BINPUT") and int(argument) > steps:
            raise _Refused(f"it claims {argument} memo slots in {steps} steps")
        if opcode.name == "STOP":
            return


class _Dtype:
    """What a pickle says of an element type."""

    def __init__(self, code: Any, *_: Any) -> None:
        text = code.decode("ascii") if isinstance(code, bytes) else code
        if not isinstance(text, str) or not _PLAIN_DTYPE.match(text):
            raise _Refused(f"an array of {code!r}, expected numbers or strings")
        self._code = text
        self._order = "="

    def __setstate__(self, state: Any) -> None:
        order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
        if order not in ("<", ">", "|", "="):
            raise _Refused(f"byte order {order!r}")
        self._order = order

    def plain(self) -> np.dtype[Any]:
        """The type, as NumPy names it."""
        dtype = np.dtype(self._code)
        return dtype if self._order in ("|", "=") else dtype.newbyteorder(self._order)  # type: ignore[arg-type]


class _Array:
    """What a pickle says of an array, until `_settle` builds it from its bytes."""

    def __init__(self, raw: Any = b"", dtype: Any = None, shape: Any = (0,), fortran: bool = False) -> None:
        self._claim = (shape, dtype, fortran, raw)

    def __setstate__(self, state: Any) -> None:
        shape, dtype, fortran, raw = state[-4:]
        self._claim = (shape, dtype, fortran, raw)

    def plain(self) -> npt.NDArray[Any]:
        """The array, if its bytes are as many as its shape and type need."""
        shape, dtype, fortran, raw = self._claim
        if not isinstance(dtype, _Dtype):
            raise _Refused("an array without an element type")
        sizes = tuple(int(size) for size in (shape if isinstance(shape, tuple) else (shape,)))
        if any(size < 0 for size in sizes):
            raise _Refused(f"an array of shape {sizes}")
        needed = math.prod(sizes) * dtype.plain().itemsize
        content = raw.encode("latin1") if isinstance(raw, str) else bytes(raw)
        if needed > MAX_ARRAY_BYTES or needed != len(content):
            raise _Refused(f"an array that claims {needed} bytes in {sizes} and holds {len(content)}")
        flat = np.frombuffer(content, dtype.plain())
        return flat.reshape(sizes, order="F" if fortran else "C").copy()


def _reconstruct(*_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _Array:
    return _Array(raw, dtype, shape, order == "F")


def _scalar(dtype: Any, raw: Any = b"") -> Any:
    return _Array(raw, dtype, ()).plain().item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or codecs.lookup(encoding).name not in ("iso8859-1", "utf-8", "ascii"):
        raise _Refused("an encoding of something that is no text")
    return text.encode(encoding)


def _no_bytes(*arguments: Any) -> bytes:
    """``bytes()``, as old protocols write the empty ones; with a number it would reserve that much."""
    if arguments:
        raise _Refused("it calls bytes with an argument")
    return b""


class _NdarrayName:
    """Stands for the class ``numpy.ndarray``, which a pickle only names."""


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NdarrayName,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "bytes"): _no_bytes,
    ("builtins", "bytes"): _no_bytes,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    """Finds nothing but the names that arrays and plain containers need."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise _Refused(f"it calls {module}.{name}; expected NumPy arrays and plain containers only") from None


def _settle(found: Any, settled: dict[int, Any], depth: int) -> Any:
    """Replaces claims of arrays by arrays, each object once however often it is referred to."""
    if depth > MAX_DEPTH:
        raise _Refused(f"it is nested more than {MAX_DEPTH} deep, or holds itself")
    if id(found) in settled:
        return settled[id(found)][1]
    result = _settled_parts(found, settled, depth + 1)
    settled[id(found)] = (found, result)  # the object is held, lest its id be given to another
    return result


def _settled_parts(found: Any, settled: dict[int, Any], depth: int) -> Any:
    if found is None or isinstance(found, bool | int | float | complex | str | bytes | bytearray):
        return found
    if isinstance(found, _Array):
        return found.plain()
    if isinstance(found, dict):
        return {_settle(key, settled, depth): _settle(value, settled, depth) for key, value in found.items()}
    if type(found) in (list, tuple, set, frozenset):
        return type(found)(_settle(part, settled, depth) for part in found)
    raise _Refused(f"it holds a {type(found).__name__}; expected NumPy arrays and plain containers only")
