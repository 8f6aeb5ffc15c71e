"""Patience with storage. Oracle: the number of tries, counted."""

import pytest

from hybridal_ray.errors import UserError
from hybridal_ray.storage_patience import may_pass, patiently


class Flaky:
    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.tries = 0

    def __call__(self) -> str:
        self.tries += 1
        if self.errors:
            raise self.errors.pop(0)
        return "found"


def caused(cause: Exception) -> UserError:
    error = UserError("wrapped")
    error.__cause__ = cause
    return error


def test_passing_failures_are_outlasted() -> None:
    flaky = Flaky(OSError(28, "No space left on device"), caused(ConnectionResetError()))
    assert patiently(flaky, pauses=(0, 0, 0)) == "found"
    assert flaky.tries == 3


@pytest.mark.parametrize("error", [ValueError(), UserError("x"), FileNotFoundError(), caused(PermissionError())])
def test_what_no_second_try_can_mend_is_told_at_once(error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        patiently(flaky, pauses=(0, 0))
    assert flaky.tries == 1
    assert not may_pass(error)


def test_patience_ends() -> None:
    flaky = Flaky(*(OSError(5, str(number)) for number in range(9)))
    with pytest.raises(OSError, match="2"):
        patiently(flaky, pauses=(0, 0))
    assert flaky.tries == 3
