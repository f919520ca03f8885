"""Hooks that may change the catalog: which of the project's hooks could do so, and whether their code does more than read it."""

from __future__ import annotations

import ast
import inspect
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# Kedro's hook specifications through which a project can change its catalog.
_SPECS = ("after_catalog_created", "after_context_created", "before_pipeline_run")
_ARGUMENTS = frozenset({"catalog", "context"})
_OTHER_ATTRIBUTES = frozenset({"env", "params", "project_path"})  # of a context; they have no part in the catalog
_READING_METHODS = frozenset(
    {
        "confirm",
        "describe",
        "exists",
        "filter",
        "get",
        "items",
        "keys",
        "list",
        "load",
        "release",
        "save",
        "to_config",
        "values",
    }
)
_READING_FUNCTIONS = frozenset(
    {"bool", "dict", "iter", "len", "list", "print", "repr", "set", "sorted", "str", "tuple"}
)


@dataclass(frozen=True, slots=True, order=True)
class CatalogHook:
    """A hook that may change the catalog.

    Attributes:
        name: full name of its class.
        spec: name of the hook specification that it implements.
        only_reads: whether its code does nothing with the catalog but read it.
    """

    name: str
    spec: str
    only_reads: bool


def find_catalog_hooks(hooks: Iterable[object]) -> tuple[CatalogHook, ...]:
    """Return the hooks that may change the catalog, in the order of the project's settings."""
    found = []
    for hook in hooks:
        for spec in _SPECS:
            implementation = getattr(hook, spec, None)
            if getattr(implementation, "kedro_impl", None) is not None:
                kind = hook if isinstance(hook, type) else type(hook)
                found.append(CatalogHook(f"{kind.__module__}.{kind.__qualname__}", spec, _only_reads(implementation)))
    return tuple(found)


def _only_reads(implementation: Any) -> bool:
    """Return whether the code of a hook is known, and only reads the catalog or context that it is given."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(implementation))))
    except (OSError, TypeError, SyntaxError):
        return False
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    return all(_is_read(use, parents) for use in _uses_of_arguments(tree))


def _uses_of_arguments(tree: ast.AST) -> Iterator[ast.Name]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in _ARGUMENTS)


def _is_read(use: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    """Return whether a use of a name, with the attributes and items that are taken of it, changes nothing."""
    value: ast.expr = use
    parent = parents[value]
    while isinstance(parent, ast.Attribute | ast.Subscript) and parent.value is value:
        value, parent = parent, parents[parent]
    attribute = parents[use]
    if isinstance(attribute, ast.Attribute) and attribute.attr in _OTHER_ATTRIBUTES:
        return True
    if isinstance(value, ast.Attribute | ast.Subscript) and not isinstance(value.ctx, ast.Load):
        return False
    if isinstance(parent, ast.Call):
        if parent.func is value:
            return isinstance(value, ast.Attribute) and value.attr in _READING_METHODS
        # As an argument: what the function does with the catalog is not known, but an item or attribute of it is only read.
        return value is not use or (isinstance(parent.func, ast.Name) and parent.func.id in _READING_FUNCTIONS)
    if value is use:
        return isinstance(parent, ast.Compare | ast.For | ast.comprehension | ast.FormattedValue)
    return True
