"""The registered pipelines of a project, loaded once, with everything that can go wrong said in words."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.project.words import said

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kedro.pipeline import Pipeline

    from kedro_k8s_airflow.project import Node

_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+)')
_SWALLOWED = re.compile(r"An error occurred while importing the '(?P<module>[^']+)' module")


def load(package: str, path: Path) -> tuple[dict[str, Pipeline], list[Finding]]:
    """All registered pipelines, and findings; whatever the project prints meanwhile goes to stderr.

    Raises:
        Refused: when they cannot be loaded, or `find_pipelines()` left some out because of an error.
    """
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline

    stdout = _Stdout()
    try:
        with _overheard() as heard, stdout.logged_apart(), contextlib.redirect_stdout(stdout):
            registry = dict(pipelines)
    except (Exception, SystemExit) as exc:
        what = "ends the process" if isinstance(exc, SystemExit) else f"fails: {said(exc)}"
        what += _place(_frames(exc), path)
        raise refuse(
            "registry",
            f"{package}.pipeline_registry",
            f"loading the pipelines {what}.",
            "Mend it until `kedro registry list` works.",
        ) from exc
    findings = []
    if stdout.printed:
        findings.append(
            warning(
                "registry-prints",
                f"{package}.pipeline_registry",
                "the project prints while its pipelines are loaded, and will in every pod.",
                "Log instead, inside the nodes.",
            )
        )
    swallowed = [message for message in heard if _SWALLOWED.search(message)]
    if swallowed:
        raise Refused(_swallowed(message, path) for message in swallowed)
    findings += [warning("registry", f"{package}.pipeline_registry", message) for message in heard]
    wrong = {
        name: type(value).__name__
        for name, value in registry.items()
        if not isinstance(value, Pipeline) or not isinstance(name, str)
    }
    if wrong:
        name, kind = next(iter(wrong.items()))
        raise refuse("registry", f"{package}.pipeline_registry", f"pipeline {name!r} is a {kind}, not a Pipeline.")
    return registry, findings


def why_not_alone(name: str, nodes: Sequence[Node]) -> str | None:
    """Why Kedro, which loads only the pipeline it is to run, would not find the same nodes; None when it would.

    `find_pipelines()` leaves out what was not requested, so a pipeline put together from its result comes out different
    (kedro 1.5 to 1.7, `KedroServiceSession.run` and `KedroSession.run`).
    """
    from kedro.framework.project import pipelines

    pipelines.set_requested([name])
    try:
        with _overheard(), contextlib.redirect_stdout(sys.stderr):
            alone = dict(pipelines).get(name)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  the project's own code may raise anything
        return said(exc)
    finally:
        pipelines.set_requested(None)
    if alone is None:
        return "it is not registered then"
    found = {(node.name, tuple(node.inputs), tuple(node.outputs), node.namespace) for node in alone.nodes}
    return (
        None
        if found == {(node.name, node.inputs, node.outputs, node.namespace) for node in nodes}
        else "it has other nodes then"
    )


class _Stdout(io.TextIOBase):
    """Stands in for stdout: passes everything to stderr, and remembers whether code printed; what loggers write is no print."""

    def __init__(self) -> None:
        self.printed = False
        self._logging = 0

    def write(self, text: str) -> int:
        self.printed |= not self._logging and bool(text)
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    @contextlib.contextmanager
    def logged_apart(self) -> Iterator[None]:
        """Know, meanwhile, which writes come from a logger."""
        original = logging.Logger.callHandlers

        def counted(logger: logging.Logger, record: logging.LogRecord) -> None:
            self._logging += 1
            try:
                original(logger, record)
            finally:
                self._logging -= 1

        logging.Logger.callHandlers = counted  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            logging.Logger.callHandlers = original  # type: ignore[method-assign]


@contextlib.contextmanager
def _overheard() -> Iterator[list[str]]:
    """What Kedro's own loading of pipelines warns of, whatever warning filters the project's code sets meanwhile."""
    from kedro.framework import project

    heard: list[str] = []

    class Ear:
        def warn(self, message: object, *_: object, **__: object) -> None:
            heard.append(str(message))

        def __getattr__(self, name: str) -> object:
            return getattr(warnings, name)

    setattr(project, "warnings", Ear())  # noqa: B010  a module of Kedro's whose global we stand in for
    try:
        yield heard
    finally:
        setattr(project, "warnings", warnings)  # noqa: B010


def _swallowed(message: str, path: Path) -> Finding:
    module = _SWALLOWED.search(message)
    cause = [line for line in message.splitlines() if line.strip()][-1].strip().rstrip(".")
    return error(
        "registry-swallowed",
        module["module"] if module else "pipeline_registry",
        f"find_pipelines() left its pipelines out because the import failed: {cause}{_place(_FRAME.findall(message), path)}.",
        "Install or mend what is missing; `find_pipelines(raise_errors=True)` would have told you.",
    )


def _frames(exc: BaseException) -> list[tuple[str, str]]:
    """File and line of every call on the way to an exception and to what caused it, the innermost last."""
    frames: list[tuple[str, str]] = []
    cause: BaseException | None = exc
    while cause is not None:
        frames += [(frame.filename, str(frame.lineno)) for frame in traceback.extract_tb(cause.__traceback__)]
        if isinstance(cause, SyntaxError) and cause.filename:
            frames.append((cause.filename, str(cause.lineno)))
        cause = cause.__cause__
    return frames


def _place(frames: Sequence[tuple[str, str]], path: Path) -> str:
    """` (src/x/nodes.py, line 3)` for the last frame inside the project, or nothing."""
    inside = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(path)]
    return f" ({inside[-1][0].relative_to(path).as_posix()}, line {inside[-1][1]})" if inside else ""
