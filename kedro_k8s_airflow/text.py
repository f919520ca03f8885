"""How names and numbers are put into words: on one line, and never so many that they bury the rest."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NAMES_SHOWN = 3


def count_of(number: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`, `1,200 tasks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def join_some(texts: Sequence[str], shown: int = NAMES_SHOWN) -> str:
    """Return the first texts, and how many more there are."""
    rest = f" and {len(texts) - shown:,} more" if len(texts) > shown else ""
    return ", ".join(texts[:shown]) + rest


def first_names(names: Sequence[str], shown: int = NAMES_SHOWN) -> str:
    """Return the first names, printable, and how many more there are."""
    return join_some([*map(printable, names[:shown]), *names[shown:]], shown)


def quote_names(names: Sequence[str], shown: int = NAMES_SHOWN) -> str:
    """Return the first names in quotes, and how many more there are."""
    return join_some([*map(repr, names[:shown]), *names[shown:]], shown)


def did_you_mean(word: str, known: Iterable[str], *, otherwise: str = "", limit: int = 1) -> str:
    """Return a question that offers the known words closest to a misspelt one, or what to say when none is close."""
    close = difflib.get_close_matches(word, list(known), limit)
    return f"Did you mean {' or '.join(map(repr, close))}?" if close else otherwise


def printable(name: str) -> str:
    """Return a name on one line, at a length that a table can hold."""
    text = one_line(name)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"


def one_line(name: str) -> str:
    """Return a name with escapes in place of what cannot be printed."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")
