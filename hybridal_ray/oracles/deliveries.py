"""Which format a file of answers is in, told by what it holds."""

from collections.abc import Sequence

from hybridal_ray.oracles.answer_files import read_answer_file
from hybridal_ray.oracles.interface import Delivery
from hybridal_ray.requests.request import Request


def read_delivery(location: str, requests: Sequence[Request]) -> Delivery:
    """Reads a file of answers in any of the known formats.

    Args:
        location: ``.json`` or ``.parquet`` of our own.
        requests: Of the run, by whose tasks tools name what they answer.

    Raises:
        UserError: There is no such file, or nothing in it has the shape of an answer.
    """
    return read_answer_file(location)
