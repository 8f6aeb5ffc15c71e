"""A Label Studio server for development: ``python jobs/label_studio.py start|stop --home DIR …``; see `make help`."""

import argparse
import os
import sys
from pathlib import Path

from hybridal_ray.errors import UserError
from hybridal_ray.local_label_studio import EXECUTABLE_VARIABLE, PORT, start_server, stop_server


def main() -> int:
    """Starts or stops; exit code 2 and one line for what the user can mend."""
    parser = argparse.ArgumentParser(description="Starts or stops a Label Studio server on 127.0.0.1.")
    parser.add_argument("what", choices=("start", "stop"))
    parser.add_argument("--home", type=Path, required=True, help="where the server keeps its data")
    parser.add_argument("--document-root", type=Path, help="the runs are below it")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--executable", default=os.environ.get(EXECUTABLE_VARIABLE, "label-studio"))
    arguments = parser.parse_args()
    try:
        if arguments.what == "stop":
            print("label-studio: stopped" if stop_server(arguments.home) else "label-studio: none ran")
            return 0
        root = (arguments.document_root or arguments.home / "media").absolute()
        print("label-studio: starting; the first time takes one or two minutes", flush=True)
        server = start_server(arguments.home, arguments.executable, document_root=root, port=arguments.port)
    except UserError as error:
        print(f"label-studio: {error}", file=sys.stderr)
        return 2
    access = arguments.home.absolute() / "access.json"
    print(f"label-studio: {server.url}, user {server.user}; password and token are in {access}")
    print(f"label-studio: runs below {root} can be shown; before a run or a pull:")
    read_token = f"""python3 -c 'import json; print(json.load(open("{access}"))["token"])'"""
    print(f"  export LABEL_STUDIO_API_KEY=$({read_token})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
