"""The process that decodes for `hybridal_ray.pool.decoder_process`: a line of JSON in, a line of JSON out."""

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TextIO

from hybridal_ray.errors import UserError
from hybridal_ray.pool.containers import UnreadableVideo
from hybridal_ray.pool.decoding import VideoFacts, probe
from hybridal_ray.pool.inspection import Inspection, inspect_video

TASKS: dict[str, Callable[[str], VideoFacts | Inspection]] = {"probe": probe, "inspect": inspect_video}


def serve(requests: TextIO, answers: TextIO) -> None:
    """Answers until the requests end.

    Args:
        requests: ``{"task": …, "uri": …}`` a line.
        answers: ``{"found": …}``, the fields of what the task returns, or ``{"unreadable": reason}``, a line.
    """
    for line in requests:
        request = json.loads(line)
        try:
            answer: dict[str, Any] = {"found": asdict(TASKS[request["task"]](request["uri"]))}
        except UnreadableVideo as error:
            answer = {"unreadable": error.reason}
        except UserError as error:  # the folder of its images cannot be listed
            answer = {"unreadable": str(error)}
        except (MemoryError, ValueError, RuntimeError) as error:
            answer = {"unreadable": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
