"""The end of a run, as its directory keeps it."""

from dataclasses import asdict

from hybridal_ray.pool import storage
from hybridal_ray.stopping.criterion import End

END_FILE = "end.json"


def keep_end(run_root: str, end: End | None) -> None:
    """Writes why a run has ended, or that it goes on after all; what is written already is left as it is.

    The file appears whole or not at all. It follows from the configuration and the finished rounds, so a job that
    was killed before writing it comes to the same again.

    Args:
        run_root: The run directory, a path or URI.
        end: None where the run goes on; of a run that has never ended, no file says so.
    """
    if end != read_end(run_root):
        storage.write_json(storage.join(run_root, END_FILE), None if end is None else asdict(end))


def read_end(run_root: str) -> End | None:
    """The end of a run, None where it has not ended, or goes on again."""
    location = storage.join(run_root, END_FILE)
    found = storage.read_json(location) if storage.exists(location) else None
    return None if found is None else End(**found)
