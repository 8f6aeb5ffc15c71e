"""Files of weights, of our own and from elsewhere, read without running anything in them."""

import io
import pickle
from typing import Any

import torch

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage


def read_weights(location: str, field: str | None = None) -> Any:
    """What a file of torch holds, tensors on the CPU.

    Args:
        location: Path or URI.
        field: Of the configuration that names it, for the message.

    Raises:
        UserError: There is no such file, or it is empty, damaged, or holds more than tensors and plain values.
    """
    content = storage.read_bytes(location)
    where = location if field is None else f"{location}: {field}"
    if not content:
        raise UserError(f"{where}: the file is empty, expected weights")
    try:
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UserError(f"{where}: not a readable file of weights: {reason}") from error
