"""The registered pipelines of a project, loaded once, with everything that can go wrong said in words."""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import re
import sys
import traceback
import types
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import Finding, Refused, error, refuse, warning
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from kedro.pipeline import Pipeline
    from kedro.pipeline.node import Node as KedroNode

    from kedro_k8s_airflow.project.model import ProjectNode

_FRAME = re.compile(r'File "([^"]+)", line ([0-9]+)')
_SWALLOWED = re.compile(r"An error occurred while importing the '(?P<module>[^']+)' module")


def load_pipelines(package: str, path: Path) -> tuple[dict[str, Pipeline], list[Finding]]:
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
        what = "ends the process" if isinstance(exc, SystemExit) else f"fails: {describe_exception(exc)}"
        what += _place(_frames(exc), path)
        raise refuse(
            "registry",
            Location(subject=f"{package}.pipeline_registry"),
            f"loading the pipelines {what}.",
            "Mend it until `kedro registry list` works.",
        ) from exc
    findings = []
    if stdout.printed:
        findings.append(
            warning(
                "registry-prints",
                Location(subject=f"{package}.pipeline_registry"),
                "the project prints while its pipelines are loaded, and will in every pod.",
                "Log instead, inside the nodes.",
            )
        )
    swallowed = [message for message in heard if _SWALLOWED.search(message)]
    if swallowed:
        raise Refused(_swallowed(message, path) for message in swallowed)
    findings += [
        warning("registry-warns", Location(subject=f"{package}.pipeline_registry"), message) for message in heard
    ]
    wrong = {
        name: type(value).__name__
        for name, value in registry.items()
        if not isinstance(value, Pipeline) or not isinstance(name, str)
    }
    if wrong:
        name, kind = next(iter(wrong.items()))
        raise refuse(
            "registry",
            Location(subject=f"{package}.pipeline_registry"),
            f"pipeline {name!r} is a {kind}, not a Pipeline.",
        )
    return registry, findings


@dataclass(frozen=True)
class LoneEvaluation:
    """A pipeline as Kedro finds it when it is to load no other.

    Attributes:
        nodes: by name; None when it is not found.
        why: why it is not found.
        registered: how many pipelines there are then.
    """

    nodes: Mapping[str, KedroNode] | None
    why: str | None = None
    registered: int = 0


def evaluate_alone(name: str) -> LoneEvaluation:
    """A pipeline from a fresh evaluation of the registry, of which nothing else is requested.

    `find_pipelines()` leaves out what was not requested, so a pipeline put together from its result comes out different
    (kedro 1.5 to 1.7, `KedroServiceSession.run` and `KedroSession.run`).
    """
    from kedro.framework.project import pipelines

    pipelines.set_requested([name])
    try:
        with _overheard(), contextlib.redirect_stdout(sys.stderr):
            found = dict(pipelines)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  the project's own code may raise anything
        return LoneEvaluation(None, describe_exception(exc))
    finally:
        pipelines.set_requested(None)
    if name not in found:
        return LoneEvaluation(None, "it is not registered then")
    return LoneEvaluation({node.name: node for node in found[name].nodes}, None, len(found))


def nodes_equal(node: ProjectNode, other: KedroNode | None) -> bool:
    """Whether two nodes of one name do the same: inputs, outputs, function, namespace and what they confirm."""
    mine = node.live
    return (
        other is not None
        and mine == other
        and (mine.namespace, list(mine.confirms)) == (other.namespace, list(other.confirms))
        and _same(mine.func, other.func)
    )


def _same(one: Any, other: Any, met: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Whether two functions are one, or made twice from the same code; when in doubt they are not.

    Args:
        one: a function or something that belongs to it.
        other: what it is compared with.
        met: pairs of functions that are being compared further out; one that holds itself is the same if all else is.
    """
    if one is other or (id(one), id(other)) in met:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, functools.partial):
        return _same([one.func, one.args, one.keywords], [other.func, other.args, other.keywords], met)
    if isinstance(one, types.FunctionType):
        return one.__code__ == other.__code__ and _same(_bound(one), _bound(other), met | {(id(one), id(other))})
    if isinstance(one, str | bytes | int | float | complex):
        return bool(one == other)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(_same(*pair, met) for pair in zip(one, other, strict=True))
    if isinstance(one, dict):
        return list(one) == list(other) and all(_same(value, other[name], met) for name, value in one.items())
    return False


def _bound(function: types.FunctionType) -> list[Any]:
    """What a function has besides its code."""
    cells = [_content(cell) for cell in function.__closure__ or ()]
    return [function.__module__, function.__defaults__, function.__kwdefaults__, function.__dict__, cells]


def _content(cell: types.CellType) -> Any:
    try:
        return (cell.cell_contents,)
    except ValueError:  # empty: nothing was assigned
        return ()


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

    def reconfigure(self, **_: object) -> None:
        """What a project asks of its stdout is of no account here."""

    def fileno(self) -> int:
        return sys.stderr.fileno()

    @property
    def buffer(self) -> object:
        """Bytes go the same way."""
        return sys.stderr.buffer

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
        Location(subject=module["module"] if module else "pipeline_registry"),
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
