"""Pickles of other tools, opened by an unpickler that admits NumPy arrays and plain values, and runs nothing else."""

import codecs
import io
import pickle
from typing import Any

import numpy as np

from hybridal_ray.errors import UserError

_ADMITTED = {
    "_reconstruct": np.ndarray(0).__reduce__()[0],
    "scalar": np.int64(0).__reduce__()[0],
    "ndarray": np.ndarray,
    "dtype": np.dtype,
    "encode": codecs.encode,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] not in ("numpy", "_codecs") or name not in _ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted")
        return _ADMITTED[name]


def load_arrays(content: bytes, source: str) -> Any:
    """Reads a pickle of Python 2 or 3 that holds arrays, numbers, texts, lists and dicts.

    Args:
        content: The pickle.
        source: Where it comes from, for messages.

    Raises:
        UserError: It is no pickle, or holds something else.
    """
    try:
        return _ArraysOnly(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise UserError(f"{source}: not a pickle of arrays and plain values: {error}") from error
