"""How names and numbers are put into words: on one line, and never so many that they bury the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NAMES_SHOWN = 3


def count(number: int, thing: str) -> str:
    """`1 task`, `2 tasks`, `1,200 tasks`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else "")


def printable(name: str) -> str:
    """A name on one line, at a length a table can hold."""
    text = name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"
