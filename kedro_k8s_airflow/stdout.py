"""Standard output for results only: what Kedro, its plugins and the project print goes to standard error."""

from __future__ import annotations

import contextlib
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

_RESULTS: ContextVar[TextIO | None] = ContextVar("results", default=None)


def result_stream() -> TextIO:
    """Return the stream that results are printed to."""
    return _RESULTS.get() or sys.stdout


@contextlib.contextmanager
def reserve_for_results() -> Iterator[None]:
    """Keep standard output for `result_stream()`; whatever else writes to it, a child process too, reaches standard error.

    The swap is made at the file descriptor as well as at `sys.stdout`, because logging handlers, extension modules and
    child processes each hold on to one of the two. It stays until the process ends, for what the project prints then.
    """
    results = _take(sys.stdout)
    sys.stdout = sys.stderr
    token = _RESULTS.set(results)
    try:
        yield
    finally:
        _RESULTS.reset(token)
        try:
            results.flush()  # if the reader is gone this raises, as click expects
        finally:
            with contextlib.suppress(OSError):
                results.close()


def _take(stream: TextIO | None) -> TextIO:
    """Return a new stream that leads where `stream` does, and let the descriptor of `stream` lead to standard error."""
    if stream is None:  # the process was started without standard output
        return Path(os.devnull).open("w", encoding="utf-8")
    stream.flush()
    descriptor = stream.fileno()
    results = os.fdopen(os.dup(descriptor), "w", encoding=stream.encoding, errors=stream.errors)
    with contextlib.suppress(OSError, AttributeError):  # without standard error the descriptor stays as it is
        os.dup2(sys.stderr.fileno(), descriptor)
    return results
