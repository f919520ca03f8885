"""The files of a folder that the project's code opens while it is loaded."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class _Watch:
    """What is watched at the moment: a folder with a separator at its end, or "" for none, and the files found in it."""

    prefix = ""
    found: set[str]
    installed = False


@contextlib.contextmanager
def watch_files(folder: Path) -> Iterator[list[Path]]:
    """Record which files in a folder are opened, by any library; the list is filled at the end."""
    if not _Watch.installed:
        sys.addaudithook(_note_opened)  # Python has no way to remove one
        _Watch.installed = True
    _Watch.prefix, _Watch.found = str(folder) + os.sep, set()
    opened: list[Path] = []
    try:
        yield opened
    finally:
        _Watch.prefix = ""
        opened += [Path(name) for name in sorted(_Watch.found)]


def _note_opened(event: str, arguments: tuple[object, ...]) -> None:
    if not _Watch.prefix or event != "open" or not isinstance(arguments[0], str):
        return
    name = os.path.abspath(arguments[0])  # noqa: PTH100  faster
    if name.startswith(_Watch.prefix):
        _Watch.found.add(name)
