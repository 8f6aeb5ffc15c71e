"""Runs a job over and over, each time killing it at the next file that it writes, until nothing is left to write.

``python dying_jobs.py CONFIG [key=value …]`` prints the list of [file, before or after] at which a job was killed.
"""

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Collection, Sequence

import torch

from hybridal_ray.config import Config, load_config
from hybridal_ray.loop import run_loop
from hybridal_ray.pool import storage

Death = tuple[str, str]


def main(file: str, *overrides: str) -> None:
    config = load_config(file, overrides)
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # its first use imports for seconds: once here rather than in each child
    deaths: list[Death] = []
    while (death := next_death(lambda: finish(config), deaths)) is not None:
        deaths.append(death)
    print(json.dumps(deaths))


def next_death(work: Callable[[], int], former: Collection[Death], parts: Sequence[str] = ("",)) -> Death | None:
    """Runs a job in a child that dies at the first write at which none has died, and tells which one it was.

    Args:
        work: The job; gives its exit code.
        former: Where children have died already.
        parts: Of locations: it dies only where one of them is written.
    """
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        storage.write_bytes = dying(storage.write_bytes, 0, set(former), write_end, parts)
        storage.publish = dying(storage.publish, 1, set(former), write_end, parts)
        os._exit(work())
    os.close(write_end)
    with os.fdopen(read_end) as told:
        last_words = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        location, moment = json.loads(last_words)
        return location, moment
    if os.WEXITSTATUS(status) != 0:
        raise SystemExit("a job ended in an error of its own")
    return None


def finish(config: Config) -> int:
    try:
        run_loop(config, say=lambda line: None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def dying(
    write: Callable[..., None], location_at: int, former: Collection[Death], words: int, parts: Sequence[str]
) -> Callable[..., None]:
    """`write`, which kills this process before or after writing; its argument number `location_at` is where."""

    def die(death: Death) -> None:
        if death not in former and any(part in death[0] for part in parts):
            os.write(words, json.dumps(death).encode())
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(*arguments: str | bytes) -> None:
        location = str(arguments[location_at])
        die((location, "before"))
        write(*arguments)
        die((location, "after"))

    return wrapped


if __name__ == "__main__":
    main(*sys.argv[1:])
