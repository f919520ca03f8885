"""`pyproject.toml`: its content, and the hooks that its entry points name, which run wherever the project counts as installed."""

from __future__ import annotations

import importlib
import sys
from functools import reduce
from typing import TYPE_CHECKING, Any

from kedro_k8s_airflow.exceptions import describe_exception
from kedro_k8s_airflow.findings import refuse
from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_HOOKS_GROUP = "kedro.hooks"


def read_toml(file: Path) -> dict[str, Any]:
    """Return the content of a TOML file."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib  # a dependency of Kedro on 3.10
    content: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8"))
    return content


def find_entry_points(content: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the entry points in the content of a `pyproject.toml`, by group; those of Poetry are plugins."""
    keys = ("project", "entry-points"), ("tool", "poetry", "plugins")
    tables = (reduce(_table, key, content) for key in keys)
    groups = next((table for table in tables if table), {})
    return {group: entries for group, entries in groups.items() if isinstance(entries, dict) and entries}


def load_own_hooks(path: Path, registered: Sequence[object]) -> tuple[object, ...]:
    """Return the hooks that the project's own entry points name.

    Args:
        path: the project's folder.
        registered: the hooks in the project's settings.

    Raises:
        Refused: if pods cannot load one of them, or the settings name it, too.
    """
    hooks = []
    for name, value in find_entry_points(read_toml(path / "pyproject.toml")).get(_HOOKS_GROUP, {}).items():
        location = Location(file="pyproject.toml", key=("project", "entry-points", _HOOKS_GROUP, name))
        module, _, attributes = str(value).partition("[")[0].strip().partition(":")
        try:
            hook = reduce(getattr, filter(None, attributes.split(".")), importlib.import_module(module))
        except Exception as exc:
            raise refuse(
                "project",
                location,
                f"names hooks that cannot be loaded: {describe_exception(exc)}. Kedro loads them in every pod.",
                "Correct the entry point, or remove it.",
            ) from exc
        if any(hook is other for other in registered):
            raise refuse(
                "project",
                location,
                "names hooks that are in HOOKS of settings.py, too. Kedro refuses to register them twice.",
                "Remove them from one of the two.",
            )
        hooks.append(hook)
    return tuple(hooks)


def _table(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key, {})
    return value if isinstance(value, dict) else {}
