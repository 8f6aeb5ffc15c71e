"""The active-learning loop as a Ray job.

``ray job submit --working-dir . -- python jobs/al_loop.py --config configs/demo.yaml [key=value …]``
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a job runs in an unpacked copy of the repository

from hybridal_ray.config import load_config
from hybridal_ray.config_files import refuse_relative_root
from hybridal_ray.errors import UserError
from hybridal_ray.labelling import Patience
from hybridal_ray.loop import run_loop
from hybridal_ray.report import run_report


def main() -> int:
    """Runs the job; exit code 2 and one line for what the user can mend."""
    parser = argparse.ArgumentParser(description="Runs the active-learning loop; again to continue it.")
    parser.add_argument("--config", required=True, help="YAML file, in the working directory of the job")
    parser.add_argument("overrides", nargs="*", help="dotted.key=value")
    parser.add_argument("--wait", action="store_true", help="wait for people's labels instead of ending")
    parser.add_argument("--accept-partial", action="store_true", help="go on with the labels that are there")
    arguments = parser.parse_intermixed_args()
    try:
        config = load_config(arguments.config, arguments.overrides)
        refuse_relative_root(config.root)
        patience = Patience(arguments.wait, arguments.accept_partial)
        root = run_loop(config, say=lambda line: print(line, flush=True), patience=patience)
        run_report(root).print()
    except UserError as error:
        print(f"al_loop: {error}", file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
