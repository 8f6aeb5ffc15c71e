"""A comparison as a Ray job; again to continue it.

``ray job submit --working-dir . -- python jobs/compare.py --config configs/compare_demo.yaml [key=value …]``
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # a job runs in an unpacked copy of the repository

from hybridal_ray.comparison.comparing import compare
from hybridal_ray.comparison.comparison_file import load_comparison
from hybridal_ray.config_files import refuse_relative_root
from hybridal_ray.errors import UserError


def main() -> int:
    """Runs the job.

    Returns:
        0; 1 when runs failed; 2, after one line that says why, for what the user can mend.
    """
    parser = argparse.ArgumentParser(description="Runs a comparison; again to continue it.")
    parser.add_argument("--config", required=True, help="the comparison's YAML file, in the working directory")
    parser.add_argument("overrides", nargs="*", help="key=value")
    arguments = parser.parse_intermixed_args()
    try:
        comparison = load_comparison(arguments.config, arguments.overrides)
        refuse_relative_root(comparison.root)
        report = compare(comparison, say=lambda line: print(line, flush=True))
        print(report.markdown)
        print(f"report: {comparison.directory}/comparison.html")
    except UserError as error:
        print(f"compare: {error}", file=sys.stderr, flush=True)
        return 2
    return 0 if all(curve.finished for curve in report.answer.curves) else 1


if __name__ == "__main__":
    sys.exit(main())
