"""The environment variables that the project's code reads while it is loaded: watched, or found in what is loaded already."""

from __future__ import annotations

import ast
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


def find_reads_of_loaded_modules(root: Path) -> list[VariableRead]:
    """Return the variables that modules below `root` have read, outside of functions, when Kedro imported them.

    Kedro imports the project's settings before any plugin runs.
    """
    reads: dict[str, VariableRead] = {}
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(str(root) + os.sep) or "site-packages" in file:
            continue
        path = Path(file)
        try:
            source = path.read_bytes()
            tree = ast.parse(source) if b"env" in source and path.suffix == ".py" else ast.Module([], [])
        except (OSError, SyntaxError, ValueError):
            continue
        for name, line in _reads_outside_functions(tree):
            read = VariableRead(name, path.relative_to(root).as_posix(), line, os.environ.get(name))
            reads.setdefault(name, read)
    return sorted(reads.values())


def _reads_outside_functions(node: ast.AST) -> Iterator[tuple[str, int]]:
    """Yield name and line of each `os.environ["X"]`, `os.environ.get("X")` and `os.getenv("X")`, with or without `os`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        argument: ast.expr | None = None
        if isinstance(child, ast.Subscript) and ast.unparse(child.value).rpartition(".")[2] == "environ":
            argument = child.slice
        elif isinstance(child, ast.Call) and child.args:
            function = ast.unparse(child.func)
            if function.endswith("environ.get") or function.rpartition(".")[2] == "getenv":
                argument = child.args[0]
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value, child.lineno  # type: ignore[attr-defined]
        yield from _reads_outside_functions(child)
