"""The tables of the benchmarks: on the terminal, and each in a marked section of docs/contributing/benchmarks.md."""

from __future__ import annotations

import datetime as dt
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PAGE = Path(__file__).resolve().parent.parent / "docs" / "contributing" / "benchmarks.md"

_HEAD = """\
# Benchmarks

Written by `make bench ARGS=--write`; [benchmarks/README.md](../../benchmarks/README.md) says what is measured, and how.
Compare the ratios: seconds depend on the machine, ratios of one run hardly do.
"""


class Aim(NamedTuple):
    """A figure and the most it should be."""

    label: str
    figure: float
    limit: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure is within the aim."""
        return self.figure <= self.limit

    def __str__(self) -> str:
        return f"{self.label}: {self.figure:.3g}{self.unit} (aim: at most {self.limit:g}{self.unit}; {'met' if self.met else '**missed**'})"


class Section(NamedTuple):
    """What one benchmark has to say: a table, the aims, and notes on what was compared."""

    name: str
    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    aims: Sequence[Aim] = ()
    notes: Sequence[str] = ()

    def __str__(self) -> str:
        aims = [f"- {aim}" for aim in self.aims]
        parts = [f"## {self.title}", format_table(self.header, self.rows), "\n".join(aims), *self.notes]
        return "\n\n".join(part for part in parts if part)


def format_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table that lines up as plain text: first column to the left, figures to the right."""
    lines = [list(header), *map(list, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    aligned = [
        [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        for line in lines
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (aligned[0], rule, *aligned[1:]))


def describe_conditions(versions: str) -> str:
    """A note on when, where and with what a table was made."""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    return f"{dt.datetime.now(dt.timezone.utc).date().isoformat()}; {versions}; {machine}."


def print_section(section: Section, *, write: bool) -> bool:
    """Print a section and, if asked, put it in the page; whether all aims were met."""
    print(f"\n{section}\n", flush=True)
    if write:
        text = PAGE.read_text(encoding="utf-8") if PAGE.exists() else _HEAD
        PAGE.write_text(place_section(text, section), encoding="utf-8")
    return all(aim.met for aim in section.aims)


def place_section(text: str, section: Section) -> str:
    """The page with the section in its marked place, or at its end when it has none yet."""
    start, end = f"<!-- {section.name} -->", f"<!-- end of {section.name} -->"
    block = f"{start}\n{section}\n{end}"
    if start in text and end in text:
        before, _, rest = text.partition(start)
        return before + block + rest.partition(end)[2]
    return f"{text.rstrip()}\n\n{block}\n"
