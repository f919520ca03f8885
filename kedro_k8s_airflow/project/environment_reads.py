"""The environment variables that the project's code reads while it is loaded."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_FRAMES = 8


@dataclass(frozen=True, slots=True, order=True)
class VariableRead:
    """An environment variable and the line of the project that reads it.

    Attributes:
        name: its name.
        file: relative to the project.
        line: counted from 1.
        value: its value here, which is compared and never shown; None if it is not set.
    """

    name: str
    file: str
    line: int
    value: str | None = field(default=None, repr=False, compare=False)


@contextlib.contextmanager
def watch_environment(root: Path) -> Iterator[list[VariableRead]]:
    """Record which variables are read by code below `root`, except in virtual environments."""
    reads: dict[str, VariableRead] = {}
    environ_class: Any = type(os.environ)
    prefix = str(root) + os.sep

    class WatchedEnviron(environ_class):  # type: ignore[misc]  # keeps the content and behaviour of os.environ
        def __getitem__(self, name: str) -> str:
            value: str | None = None
            try:
                value = super().__getitem__(name)
            finally:
                if name not in reads and (caller := _find_caller(prefix)) is not None:
                    reads[name] = VariableRead(name, *caller, value)
            return value

    os.environ.__class__ = WatchedEnviron
    result: list[VariableRead] = []
    try:
        yield result
    finally:
        os.environ.__class__ = environ_class
        result += sorted(reads.values())


def _find_caller(prefix: str) -> tuple[str, int] | None:
    """Return file and line of the project that read a variable: the first frame that is not part of `os`."""
    frame = sys._getframe(2)  # noqa: SLF001  there is no public equivalent
    for _ in range(_MAX_FRAMES):
        file = frame.f_code.co_filename
        if file.startswith(prefix) and f"{os.sep}site-packages{os.sep}" not in file:
            return Path(file).relative_to(prefix).as_posix(), frame.f_lineno
        name = os.path.basename(file)  # noqa: PTH119  faster, and frozen modules have no path
        if (
            name not in ("os.py", "<frozen os>", "_collections_abc.py", "<frozen _collections_abc>")
            or frame.f_back is None
        ):
            return None
        frame = frame.f_back
    return None
