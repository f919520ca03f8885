"""The options that all benchmarks have."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def make_parser(description: str | None, turns: int, *, python: bool = True) -> argparse.ArgumentParser:
    """Make the parser of a benchmark's command line.

    Args:
        description: the docstring of the benchmark.
        turns: how many turns it takes by default.
        python: whether it runs with any Kedro environment.

    Returns:
        The parser; a benchmark adds its own options.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if python:
        parser.add_argument(
            "--python", type=absolute_path, default=Path(sys.executable), help="of a Kedro environment (this one)"
        )
    parser.add_argument("--turns", type=int, default=turns)
    parser.add_argument(
        "--quick", action="store_true", help="one turn of the smallest cases: does it run, not how fast"
    )
    parser.add_argument("--write", action="store_true", help="update docs/contributing/benchmarks.md")
    return parser


def absolute_path(text: str) -> Path:
    """Return a path of the command line; links are kept, since an environment's interpreter is one."""
    return Path(text).absolute()


def parse_options(parser: argparse.ArgumentParser, argv: list[str] | None) -> argparse.Namespace:
    """Parse a benchmark's command line; `--quick` is one turn, and its figures are never written to the page."""
    options = parser.parse_args(argv)
    if options.quick:
        options.turns = 1
        if options.write:
            parser.error("--quick measures too little to --write")
    return options
