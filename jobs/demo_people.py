"""Three rounds whose labels come from Label Studio: a server on this machine, the run, and an annotator by script.

``python jobs/demo_people.py --root DIR --executable LABEL_STUDIO [key=value …]``. The annotator answers most tasks by
the server's API, and one a batch on its page in a headless Chromium, which leaves photographs of the form.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from chromium import Chromium
from scripted_annotator import ScriptedAnnotator

from hybridal_ray.config import Config, load_config
from hybridal_ray.errors import UserError
from hybridal_ray.label_intake import awaited, open_run
from hybridal_ray.local_label_studio import EXECUTABLE_VARIABLE, PORT, LocalServer, start_server, stop_server
from hybridal_ray.oracles.label_studio import SENT
from hybridal_ray.oracles.label_studio_server import TOKEN_VARIABLE
from hybridal_ray.pool import storage
from hybridal_ray.pool.tables import load_pool
from hybridal_ray.requests.request import Request

REPOSITORY = Path(__file__).resolve().parent.parent
CONFIG = REPOSITORY / "configs/demo_people.yaml"


def main() -> int:
    """Plays the demo; exit code 2 and one line for what the user can mend."""
    parser = argparse.ArgumentParser(description="Three rounds with labels from a Label Studio server.")
    parser.add_argument("--root", type=Path, required=True, help="where the demo keeps its server, pool and run")
    parser.add_argument("--port", type=int, default=PORT, help="of the server")
    parser.add_argument("--executable", default=os.environ.get(EXECUTABLE_VARIABLE, "label-studio"))
    parser.add_argument("overrides", nargs="*", help="dotted.key=value")
    arguments = parser.parse_args()
    root = arguments.root.absolute()
    home = root / "label-studio"
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda number, _: sys.exit(128 + number))  # through every `finally`, without a traceback
    try:
        print(f"demo: starting Label Studio on 127.0.0.1:{arguments.port}", flush=True)
        server = start_server(home, arguments.executable, document_root=root, port=arguments.port)
        try:
            play(server, root, arguments.overrides)
        finally:
            stop_server(home)
    except UserError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2
    return 0


def play(server: LocalServer, root: Path, overrides: list[str], config_file: Path = CONFIG) -> list[Path]:
    """Runs the rounds to their end.

    Args:
        server: That serves files below `root`.
        root: Of the configuration.
        overrides: Of the configuration.
        config_file: The configuration.

    Returns:
        Photographs of the forms that were filled in on the page.
    """
    options = f"oracle.options={{url: {server.url}, document_root: {root}}}"
    settings = [f"root={root}", "oracle.name=label-studio", options, *overrides]
    config = load_config(config_file, settings)
    run = config.locate(config.run)
    photographs: list[Path] = []
    while True:
        _hybridal(server, "run", "--config", str(config_file), *settings)
        request = _awaited(run)
        if request is None:
            return photographs
        photographs.append(_answer(server, config, request, root / "screenshots"))


def _answer(server: LocalServer, config: Config, request: Request, folder: Path) -> Path:
    """Answers a request in two parts, pulling each; returns a photograph of a task."""
    project = int(storage.read_json(storage.join(request.directory, SENT))["project"])
    annotator = ScriptedAnnotator(server, load_pool(config.locate(config.pool.path)))
    tasks = annotator.open_tasks(project, request)
    on_page = max(tasks, key=lambda task: (len(task.frame.proposed or ()), len(task.actors)))
    rest = [task for task in tasks if task is not on_page]
    half = len(rest) // 2
    print(f"demo: the annotator answers {half} of {len(tasks)} tasks by the API", flush=True)
    annotator.answer_by_api(rest[:half])
    _hybridal(server, "labels", "pull", request.run)
    photograph = folder / f"round-{request.for_round}.png"
    print(f"demo: task {on_page.id} is answered on the page: {photograph}", flush=True)
    with Chromium(1920, 1080) as page:
        annotator.sign_in(page)
        annotator.answer_on_page(page, project, on_page, photograph)
    print(f"demo: and {len(rest) - half} more by the API", flush=True)
    annotator.answer_by_api(rest[half:])
    _hybridal(server, "labels", "pull", request.run)
    return photograph


def _awaited(run: str) -> Request | None:
    """The request that the run waits for."""
    waits = awaited(open_run(run)[0])
    return None if waits is None else waits[0]


def _hybridal(server: LocalServer, *arguments: str) -> None:
    """Calls the command line as a user would, and shows it."""
    print(f"demo: $ hybridal {' '.join(arguments)}", flush=True)
    command = [sys.executable, "-m", "hybridal_ray.cli", *arguments]
    environment = {**os.environ, TOKEN_VARIABLE: server.token}
    if subprocess.run(command, cwd=REPOSITORY, env=environment, check=False).returncode != 0:
        raise UserError(f"`hybridal {arguments[0]}` failed; see what it said above")


if __name__ == "__main__":
    sys.exit(main())
