"""How names and numbers are put into words: on one line, and never so many that they bury the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.plan.statistics import StorageLocation

_NAMES_SHOWN = 3


def count_of(number: int, thing: str) -> str:
    """`1 task`, `2 tasks`, `1,200 tasks`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def first_names(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(printable(name) for name in names[:_NAMES_SHOWN])
    return shown + (f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else "")


def printable(name: str) -> str:
    """A name on one line, at a length a table can hold."""
    text = one_line(name)
    return text if len(text) <= 80 else f"{text[:60]}...{text[-17:]}"


def one_line(name: str) -> str:
    """A name with what cannot be printed as its escapes."""
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def describe_storage(found: StorageLocation, *, short: bool = False) -> str:
    """Where a dataset lives between tasks; short of its path."""
    path = f" at {printable(found.path)}" if found.path is not None and not short else ""
    if found.kind == "volume":
        return f"on volume {found.volume}{path}"
    if found.kind == "store":
        where = f"on volume {found.volume}{path}" if found.volume is not None else f"by {found.protocol}"
        return f"in memory, pickled in the store {where}"
    if found.kind == "object-store":
        return f"in an object store ({found.protocol})"
    if found.kind == "server":
        return f"on a server ({found.protocol})"
    if found.kind == "unknown":
        return "where nobody says whether every pod reaches it"
    return "where only data.reach says that every pod reaches it"
