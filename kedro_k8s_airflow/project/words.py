"""Other people's exceptions in our messages."""

from __future__ import annotations

import os
from pathlib import Path


def said(exc: BaseException) -> str:
    """An exception and what caused it in one line, without this machine's home folder."""
    text = (
        f"{type(exc).__name__}: {' '.join(str(exc).split())}".rstrip(": ")
        .replace(str(Path.home()) + os.sep, "~/")
        .rstrip(".")
    )
    return f"{text} ({said(exc.__cause__)})" if exc.__cause__ is not None else text
