"""Read two DAG files and report their differences task by task, as a reviewer would. Nothing is executed."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_TASK_FUNCTION = "kedro_task"
_SETTINGS_CONSTANT = "SETTINGS"


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFile:
    """The content of a DAG file.

    Attributes:
        tasks: source of each task by id, including the constants that it uses.
        shared: source of everything that all tasks share by name: operator arguments, constants, functions.
        dag: source of the DAG's arguments by name.
    """

    tasks: Mapping[str, str]
    shared: Mapping[str, str]
    dag: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFileDiff:
    """Differences between two DAG files: task ids, names of shared settings and of arguments of the DAG, all sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    shared: tuple[str, ...]
    dag: tuple[str, ...]

    def __bool__(self) -> bool:
        return any((self.added, self.removed, self.changed, self.shared, self.dag))


def read_dag_file(text: str) -> DagFile | None:
    """Return the content of a DAG file without its images, or None if the text is not a DAG file of this package."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return None
    _mask_images(tree)
    if not tree.body or not isinstance(block := tree.body[-1], ast.With):
        return None
    dag = block.items[0].context_expr
    constants = {
        target.id: statement.value
        for statement in tree.body
        if isinstance(statement, ast.Assign)
        for target in statement.targets
        if isinstance(target, ast.Name)
    }
    calls = [
        statement.value
        for statement in block.body
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
    ]
    tasks = {
        str(call.args[0].value): call
        for call in calls
        if isinstance(call.func, ast.Name)
        and call.func.id == _TASK_FUNCTION
        and call.args
        and isinstance(call.args[0], ast.Constant)
    }
    settings = constants.get(_SETTINGS_CONSTANT)
    if not tasks or not isinstance(dag, ast.Call) or not isinstance(settings, ast.Dict):
        return None
    shared = {
        str(key.value): _source_with_constants(value, constants)
        for key, value in zip(settings.keys, settings.values, strict=True)
        if isinstance(key, ast.Constant)
    }
    named_constants = {name for node in [settings, *tasks.values(), dag] for name in _find_constants(node, constants)}
    shared |= {
        name: ast.unparse(value)
        for name, value in constants.items()
        if name not in named_constants | {_SETTINGS_CONSTANT}
    }
    functions = [statement for statement in tree.body if isinstance(statement, ast.FunctionDef)]
    return DagFile(
        tasks={task: _source_with_constants(call, constants) for task, call in tasks.items()},
        shared={**shared, **{f"{function.name}()": ast.unparse(function) for function in functions}},
        dag={str(keyword.arg): _source_with_constants(keyword.value, constants) for keyword in dag.keywords},
    )


def _mask_images(tree: ast.AST) -> None:
    """Replace all images by one, because the ownership manifest reports them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "image":
            node.value = ast.Constant("an image")
        elif isinstance(node, ast.Dict):
            for index, key in enumerate(node.keys):
                if isinstance(key, ast.Constant) and key.value == "image":
                    node.values[index] = ast.Constant("an image")


def compare_dag_files(old: DagFile, new: DagFile) -> DagFileDiff:
    """Return the differences between two DAG files."""
    return DagFileDiff(
        added=tuple(sorted(new.tasks.keys() - old.tasks.keys())),
        removed=tuple(sorted(old.tasks.keys() - new.tasks.keys())),
        changed=tuple(
            sorted(task for task in old.tasks.keys() & new.tasks.keys() if old.tasks[task] != new.tasks[task])
        ),
        shared=_changed_names(old.shared, new.shared),
        dag=_changed_names(old.dag, new.dag),
    )


def _changed_names(old: Mapping[str, str], new: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _find_constants(node: ast.AST, constants: Mapping[str, ast.expr]) -> set[str]:
    """Return the constants that an expression uses, directly or through other constants."""
    constant_names: set[str] = set()
    pending = [node]
    while pending:
        for inner in ast.walk(pending.pop()):
            if isinstance(inner, ast.Name) and inner.id in constants and inner.id not in constant_names:
                constant_names.add(inner.id)
                pending.append(constants[inner.id])
    return constant_names


def _source_with_constants(node: ast.expr, constants: Mapping[str, ast.expr]) -> str:
    """Return the source of an expression and of all constants that it uses."""
    lines = [f"{name} = {ast.unparse(constants[name])}" for name in sorted(_find_constants(node, constants))]
    return "\n".join([ast.unparse(node), *lines])
