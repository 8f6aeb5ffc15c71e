"""Runs a comparison over and over, each time killing its driver at a file that it writes, until it comes to its end.

``python dying_comparisons.py FILE`` prints the files at which it was killed. Files appear whole or not at all, so
between two writes there is nothing to see. Children are forked, so that they need not import everything anew.
"""

import json
import os
import random
import signal
import sys
import traceback
from collections.abc import Callable

import torch

from hybridal_ray.comparison.comparing import compare
from hybridal_ray.comparison.comparison_file import Comparison, load_comparison
from hybridal_ray.pool import storage


def main(file: str) -> None:
    comparison = load_comparison(file)
    torch.set_num_threads(1)
    torch.optim.AdamW([torch.zeros(1)])  # its first use imports for seconds
    moments, deaths = random.Random(0), []
    while (death := next_death(comparison, moments.randrange(1, 45))) is not None:
        deaths.append(death)
    print(json.dumps(deaths))


def next_death(comparison: Comparison, writes: int) -> str | None:
    """Goes on with the comparison in a child that dies right after so many writes; tells where, None if it did not."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        storage.write_bytes = dying(storage.write_bytes, writes, write_end)
        os._exit(finish(comparison))
    os.close(write_end)
    with os.fdopen(read_end) as told:
        last_words = told.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return last_words
    if os.WEXITSTATUS(status) != 0:
        raise SystemExit("a comparison ended in an error of its own")
    return None


def finish(comparison: Comparison) -> int:
    try:
        report = compare(comparison, say=lambda line: None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0 if all(curve.finished for curve in report.answer.curves) else 1


def dying(write: Callable[[str, bytes], None], writes: int, words: int) -> Callable[[str, bytes], None]:
    left = writes

    def wrapped(location: str, content: bytes) -> None:
        nonlocal left
        write(location, content)
        left -= 1
        if left == 0:
            os.write(words, location.encode())
            os.kill(os.getpid(), signal.SIGKILL)

    return wrapped


if __name__ == "__main__":
    main(*sys.argv[1:])
