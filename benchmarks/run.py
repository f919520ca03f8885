"""All benchmarks, one after the other: `make bench`, `make bench ARGS=--write`.

Exit status 1 when an aim was missed and `--enforce` is given.
"""

from __future__ import annotations

import argparse
import sys

import cli_start
import create
import parse
import pod_start
import startup


def main() -> None:
    """Run them, handing on what all of them understand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", help="of a Kedro environment (this one)")
    parser.add_argument("--write", action="store_true", help="update docs/contributing/benchmarks.md")
    parser.add_argument(
        "--quick", action="store_true", help="one turn of the smallest cases: does it run, not how fast"
    )
    parser.add_argument("--enforce", action="store_true", help="fail when an aim is missed")
    arguments = parser.parse_args()
    common = [*(["--python", arguments.python] if arguments.python else []), *(["--write"] if arguments.write else [])]
    common += ["--quick"] if arguments.quick else []
    all_met = [benchmark.main(common) for benchmark in (create, startup, cli_start, parse, pod_start)]
    if arguments.enforce and not all(all_met):
        sys.exit("An aim was missed.")


if __name__ == "__main__":
    main()
