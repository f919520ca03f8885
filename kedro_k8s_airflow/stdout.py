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
    child processes each hold on to one of the two.
    """
    original = sys.stdout
    results, descriptor = _duplicate(original)
    sys.stdout = sys.stderr
    token = _RESULTS.set(results)
    try:
        yield
    finally:
        try:
            results.flush()  # a reader that is gone raises here, where click handles it
        finally:
            _RESULTS.reset(token)
            sys.stdout = original
            if descriptor is not None:
                os.dup2(results.fileno(), descriptor)
            if results is not original:
                with contextlib.suppress(OSError):
                    results.close()


def _duplicate(stream: TextIO | None) -> tuple[TextIO, int | None]:
    """Return a stream of its own that leads where `stream` does, and the descriptor that now leads to standard error."""
    if stream is None:  # the process was started without standard output
        return Path(os.devnull).open("w", encoding="utf-8"), None
    stream.flush()
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # nothing but Python's own stream, as in click's test runner
        return stream, None
    copy = os.fdopen(os.dup(descriptor), "w", encoding=stream.encoding, errors=stream.errors)
    with contextlib.suppress(OSError, AttributeError, ValueError):  # without standard error there is nowhere else to go
        os.dup2(sys.stderr.fileno(), descriptor)
    return copy, descriptor
