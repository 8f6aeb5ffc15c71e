"""Patience with storage that fails for a moment: a full disk that is being cleared, an object store that is busy."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

Found = TypeVar("Found")

PAUSES = (0.5, 2.0, 8.0)  # seconds before the second, third and fourth try
LASTING = (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError, FileExistsError)


def patiently(action: Callable[[], Found], pauses: Sequence[float] = PAUSES) -> Found:
    """Does something that reads or writes storage, again after a pause where storage failed.

    Args:
        action: May be done over: it leaves nothing half done.
        pauses: In seconds; one try more than these.

    Raises:
        Exception: What the action raised: at once where `may_pass` says no, else what the last try raised.
    """
    for pause in pauses:
        try:
            return action()
        except Exception as error:
            if not may_pass(error):
                raise
        time.sleep(pause)
    return action()


def may_pass(error: BaseException) -> bool:
    """Whether an error, or what caused it, is one of storage that another try may not meet."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError):
            return not isinstance(cause, LASTING)
        cause = cause.__cause__
    return False
