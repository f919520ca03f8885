"""The registered pipelines of a project: loads them once and reports every problem as a finding."""

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

_TRACEBACK_LINE = re.compile(r'File "([^"]+)", line ([0-9]+)')
_IMPORT_ERROR = re.compile(r"An error occurred while importing the '(?P<module>[^']+)' module")


def load_pipelines(package: str, path: Path) -> tuple[dict[str, Pipeline], list[Finding]]:
    """Return all registered pipelines, and findings; output of the project goes to stderr.

    Raises:
        Refused: if they cannot be loaded, or `find_pipelines()` skipped some because of an error.
    """
    from kedro.framework.project import pipelines
    from kedro.pipeline import Pipeline

    stdout = _Stdout()
    try:
        with _collect_warnings() as messages, stdout.ignore_loggers(), contextlib.redirect_stdout(stdout):
            registry = dict(pipelines)
    except (Exception, SystemExit) as exc:
        problem = "exited the process" if isinstance(exc, SystemExit) else f"failed: {describe_exception(exc)}"
        raise refuse(
            "registry",
            Location(subject=f"{package}.pipeline_registry"),
            f"loading the pipelines {problem}{_last_project_line(_frames(exc), path)}.",
            "Fix it until `kedro registry list` works.",
        ) from exc
    findings = []
    if stdout.printed:
        findings.append(
            warning(
                "registry-prints",
                Location(subject=f"{package}.pipeline_registry"),
                "prints to stdout while the pipelines are loaded, also in every pod.",
                "Use logging inside the nodes instead.",
            )
        )
    import_errors = [message for message in messages if _IMPORT_ERROR.search(message)]
    if import_errors:
        raise Refused(_import_error(message, path) for message in import_errors)
    findings += [
        warning("registry-warns", Location(subject=f"{package}.pipeline_registry"), message) for message in messages
    ]
    invalid = {
        name: type(value).__name__
        for name, value in registry.items()
        if not isinstance(value, Pipeline) or not isinstance(name, str)
    }
    if invalid:
        name, kind = next(iter(invalid.items()))
        raise refuse(
            "registry",
            Location(subject=f"{package}.pipeline_registry"),
            f"returns a {kind} as pipeline {name!r}, not a Pipeline.",
        )
    return registry, findings


@dataclass(frozen=True)
class PipelineEvaluation:
    """A pipeline as Kedro loads it when no other pipeline is requested.

    Attributes:
        nodes: nodes by name, or None if it cannot be loaded.
        problem: why it cannot be loaded.
        registered: number of pipelines in that registry.
    """

    nodes: Mapping[str, KedroNode] | None
    problem: str | None = None
    registered: int = 0


def evaluate_pipeline_alone(name: str) -> PipelineEvaluation:
    """Evaluate the registry again with only one pipeline requested, as Kedro does in a run, and return that pipeline.

    `find_pipelines()` skips pipelines that are not requested, so a pipeline composed of its result can differ
    (kedro 1.5 to 1.7, `KedroServiceSession.run` and `KedroSession.run`).
    """
    from kedro.framework.project import pipelines

    pipelines.set_requested([name])
    try:
        with _collect_warnings(), contextlib.redirect_stdout(sys.stderr):
            registry = dict(pipelines)
    except (Exception, SystemExit) as exc:  # noqa: BLE001  the project's code may raise anything
        return PipelineEvaluation(None, describe_exception(exc))
    finally:
        pipelines.set_requested(None)
    if name not in registry:
        return PipelineEvaluation(None, "it is not registered if it is the only pipeline requested")
    return PipelineEvaluation({node.name: node for node in registry[name].nodes}, None, len(registry))


def are_nodes_equal(node: ProjectNode, other: KedroNode | None) -> bool:
    """Return whether two nodes of one name are equal: inputs, outputs, function, namespace and confirmed datasets."""
    live = node.kedro_node
    return (
        other is not None
        and live == other
        and (live.namespace, list(live.confirms)) == (other.namespace, list(other.confirms))
        and _functions_equal(live.func, other.func)
    )


def _functions_equal(first: Any, second: Any, compared: frozenset[tuple[int, int]] = frozenset()) -> bool:
    """Return whether two functions are the same object, or created twice from the same code; False if in doubt.

    Args:
        first: a function, or a value that belongs to one.
        second: the function or value to compare it with.
        compared: pairs of functions that an outer call compares; they count as equal, so that recursion ends.
    """
    if first is second or (id(first), id(second)) in compared:
        return True
    if type(first) is not type(second):
        return False
    if isinstance(first, functools.partial):
        return _functions_equal(
            [first.func, first.args, first.keywords], [second.func, second.args, second.keywords], compared
        )
    if isinstance(first, types.FunctionType):
        return first.__code__ == second.__code__ and _functions_equal(
            _state(first), _state(second), compared | {(id(first), id(second))}
        )
    if isinstance(first, str | bytes | int | float | complex):
        return bool(first == second)
    if isinstance(first, list | tuple):
        return len(first) == len(second) and all(
            _functions_equal(*pair, compared) for pair in zip(first, second, strict=True)
        )
    if isinstance(first, dict):
        return list(first) == list(second) and all(
            _functions_equal(value, second[name], compared) for name, value in first.items()
        )
    return False


def _state(function: types.FunctionType) -> list[Any]:
    """Return everything of a function except its code."""
    cells = [_cell_content(cell) for cell in function.__closure__ or ()]
    return [function.__module__, function.__defaults__, function.__kwdefaults__, function.__dict__, cells]


def _cell_content(cell: types.CellType) -> Any:
    try:
        return (cell.cell_contents,)
    except ValueError:  # an empty cell
        return ()


class _Stdout(io.TextIOBase):
    """Replaces stdout: passes everything to stderr, and records whether code printed, other than through loggers."""

    def __init__(self) -> None:
        self.printed = False
        self._logging = 0

    def write(self, text: str) -> int:
        self.printed |= not self._logging and bool(text)
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def reconfigure(self, **_: object) -> None:
        """Ignore how a project configures its stdout."""

    def fileno(self) -> int:
        return sys.stderr.fileno()

    @property
    def buffer(self) -> object:
        """Return the buffer of stderr."""
        return sys.stderr.buffer

    @contextlib.contextmanager
    def ignore_loggers(self) -> Iterator[None]:
        """Do not count what loggers write as printed."""
        original = logging.Logger.callHandlers

        def call_handlers(logger: logging.Logger, record: logging.LogRecord) -> None:
            self._logging += 1
            try:
                original(logger, record)
            finally:
                self._logging -= 1

        logging.Logger.callHandlers = call_handlers  # type: ignore[method-assign,assignment]
        try:
            yield
        finally:
            logging.Logger.callHandlers = original  # type: ignore[method-assign]


@contextlib.contextmanager
def _collect_warnings() -> Iterator[list[str]]:
    """Collect the warnings of Kedro's loading of pipelines, whatever warning filters the project's code sets."""
    from kedro.framework import project

    messages: list[str] = []

    class WarningsModule:
        def warn(self, message: object, *_: object, **__: object) -> None:
            messages.append(str(message))

        def __getattr__(self, name: str) -> object:
            return getattr(warnings, name)

    setattr(project, "warnings", WarningsModule())  # noqa: B010  replaces a global of Kedro's module
    try:
        yield messages
    finally:
        setattr(project, "warnings", warnings)  # noqa: B010


def _import_error(message: str, path: Path) -> Finding:
    module = _IMPORT_ERROR.search(message)
    cause = [line for line in message.splitlines() if line.strip()][-1].strip().rstrip(".")
    return error(
        "registry-swallowed",
        Location(subject=module["module"] if module else "pipeline_registry"),
        f"find_pipelines() skipped its pipelines because the import failed: "
        f"{cause}{_last_project_line(_TRACEBACK_LINE.findall(message), path)}.",
        "Fix the import. `find_pipelines(raise_errors=True)` raises such errors instead of hiding them.",
    )


def _frames(exc: BaseException) -> list[tuple[str, str]]:
    """Return file and line of every call up to an exception and its causes, the innermost last."""
    frames: list[tuple[str, str]] = []
    cause: BaseException | None = exc
    while cause is not None:
        frames += [(frame.filename, str(frame.lineno)) for frame in traceback.extract_tb(cause.__traceback__)]
        if isinstance(cause, SyntaxError) and cause.filename:
            frames.append((cause.filename, str(cause.lineno)))
        cause = cause.__cause__
    return frames


def _last_project_line(frames: Sequence[tuple[str, str]], path: Path) -> str:
    """Return ` (src/x/nodes.py, line 3)` for the last frame inside the project, or ""."""
    inside = [(Path(file), line) for file, line in frames if Path(file).is_relative_to(path)]
    return f" ({inside[-1][0].relative_to(path).as_posix()}, line {inside[-1][1]})" if inside else ""
