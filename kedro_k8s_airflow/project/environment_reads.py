"""What the project's code asks of its surroundings while it is loaded: environment variables that are set here."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_DEPTH = 8


@dataclass(frozen=True, slots=True, order=True)
class VariableRead:
    """An environment variable and the line of the project that reads it; the file is relative to the project."""

    name: str
    file: str
    line: int


@contextlib.contextmanager
def watch_environment(root: Path) -> Iterator[list[VariableRead]]:
    """Record, meanwhile, which variables that are set here code below `root` reads; its virtual environments are not its code."""
    found: dict[str, VariableRead] = {}
    kind: Any = type(os.environ)
    here = str(root) + os.sep

    class Watched(kind):  # type: ignore[misc]  # os.environ keeps its content and everything else it can do
        def __getitem__(self, name: str) -> str:
            value: str = super().__getitem__(name)
            if name not in found and (place := _caller(here)) is not None:
                found[name] = VariableRead(name, *place)
            return value

    os.environ.__class__ = Watched
    result: list[VariableRead] = []
    try:
        yield result
    finally:
        os.environ.__class__ = kind
        result += sorted(found.values())


def _caller(here: str) -> tuple[str, int] | None:
    """The line of the project that asks: the first below us which is no part of `os` and its mappings."""
    frame = sys._getframe(2)  # noqa: SLF001  there is no public way
    for _ in range(_DEPTH):
        file = frame.f_code.co_filename
        if file.startswith(here) and f"{os.sep}site-packages{os.sep}" not in file:
            return Path(file).relative_to(here).as_posix(), frame.f_lineno
        name = os.path.basename(file)  # noqa: PTH119  for every frame, and frozen modules have no path
        if (
            name not in ("os.py", "<frozen os>", "_collections_abc.py", "<frozen _collections_abc>")
            or frame.f_back is None
        ):
            return None
        frame = frame.f_back
    return None
