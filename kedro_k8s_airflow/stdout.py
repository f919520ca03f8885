"""Standard output for results only: what Kedro, its plugins and the project print goes to standard error."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT_NAME = "standard output"
_RESULTS: ContextVar[TextIO | None] = ContextVar("results", default=None)


def result_stream() -> TextIO:
    """Return the stream that results are printed to; its errors are named, see `name_errors`."""
    return cast("TextIO", _NamedStream(_RESULTS.get() or sys.stdout))


@contextlib.contextmanager
def name_errors() -> Iterator[None]:
    """Let an error of standard output, such as a full disk, say where it happened: its `filename` is `STDOUT_NAME`.

    A reader that has closed its end is no such error: click ends quietly then.
    """
    try:
        yield
    except OSError as exc:
        if exc.filename is not None or exc.errno == errno.EPIPE:
            raise
        raise OSError(exc.errno, exc.strerror, STDOUT_NAME) from exc


class _NamedStream:
    """A text stream whose errors have the name of standard output."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with name_errors():
            return self._stream.write(text) if self._stream is not None else len(text)

    def flush(self) -> None:
        with name_errors():
            if self._stream is not None:
                self._stream.flush()


def discard_results() -> None:
    """Let the rest of the results lead nowhere, so that what is still buffered is not an error at the end of the process."""
    stream = _RESULTS.get() or sys.stdout
    if stream is sys.stderr:  # `reserve_for_results` has ended, and nothing is left
        return
    with contextlib.suppress(OSError, ValueError, AttributeError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())


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
            with name_errors():
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
