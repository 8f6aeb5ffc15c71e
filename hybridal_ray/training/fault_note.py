"""A fault that only the user can mend, noted for the workers that Ray Train starts after it.

Ray Train starts a group of workers again after any error of one of them. Where the error is in the configuration or
in a file, each of them would train up to the same fault.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from hybridal_ray.errors import UserError
from hybridal_ray.pool import storage
from hybridal_ray.pool.decoding import UnreadableVideo

NOTE_FILE = "fault.json"


def fresh_note(directory: str) -> str:
    """Where the note of a training is; that of a start before is removed, for its fault may be mended by now.

    Args:
        directory: Absolute path, or URI, of what Ray Train keeps.
    """
    location = storage.join(directory, NOTE_FILE)
    storage.remove(location)
    return location


@contextmanager
def noting_faults(location: str) -> Iterator[None]:
    """Surrounds a worker's training.

    Args:
        location: From `fresh_note`, the same for all workers.

    Raises:
        UserError: The training's own, or that of a worker before, as noted.
        UnreadableVideo: Likewise.
    """
    _raise_noted(location)
    try:
        yield
    except UserError as error:
        _note(location, {"message": str(error)})
        raise
    except UnreadableVideo as error:
        _note(location, {"uri": error.uri, "reason": error.reason})
        raise


def _raise_noted(location: str) -> None:
    if not storage.exists(location):
        return
    noted = storage.read_json(location)
    raise UserError(noted["message"]) if "message" in noted else UnreadableVideo(noted["uri"], noted["reason"])


def _note(location: str, fault: dict[str, str]) -> None:
    with suppress(UserError):  # without a note the fault is met again, and told all the same
        storage.write_json(location, fault)
