"""File and line of what a finding is about: keys in YAML files, datasets in the catalog, nodes in the source."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.locations import Location
    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project.model import Project


class LineFinder:
    """Adds file and line to locations in a project.

    Args:
        root: the project's folder.
        project: as it was read; None when it could not be.
        plans: those that could be made.
    """

    def __init__(self, root: Path, project: Project | None = None, plans: Sequence[Plan] = ()) -> None:
        self.root = root
        self.project = project
        self.first_node = {task.id: task.nodes[0] for plan in plans for task in plan.tasks if task.nodes}
        nodes = [node for nodes in (project.pipelines if project else {}).values() for node in nodes]
        self.nodes = {node.name: node for node in nodes}

    def in_repository(self, file: str | None) -> str | None:
        """Return a file of the project as its git repository names it, which may hold the project in a folder."""
        if file is None:
            return None
        repository = next(
            (folder for folder in (self.root, *self.root.parents) if (folder / ".git").exists()), self.root
        )
        return (self.root / file).relative_to(repository).as_posix()

    def __call__(self, location: Location) -> Location:
        """Return a location with file and line where they can be found; a file that does not exist is left out."""
        if location.file is not None:
            if not (self.root / location.file).is_file():
                return replace(location, file=None, line=None)
            if location.key and location.line is None:
                return replace(location, line=_line_of(self.root / location.file, location.key))
            return location
        file, line = None, None
        if location.dataset is not None:
            file, line = self._find_dataset(location.dataset)
        elif location.node is not None:
            file, line = self._find_node(location.node)
        elif location.task is not None:
            file, line = self._find_node(self.first_node.get(location.task, location.task))
        return replace(location, file=file, line=line)

    def _find_dataset(self, name: str) -> tuple[str | None, int | None]:
        """Find the entry of a dataset, of one of its transcoded forms, or of the factory that makes it."""
        forms = [name, *sorted(form for form in self._catalog_entries if form.startswith(f"{name}@"))]
        pattern = self.project.catalog.find_pattern(name) if self.project is not None else None
        known = [form for form in [*forms, *([pattern] if pattern else [])] if form in self._catalog_entries]
        return self._catalog_entries[known[0]] if known else (None, None)

    @functools.cached_property
    def _catalog_entries(self) -> dict[str, tuple[str, int]]:
        """File and line of every entry of the catalog; an overlay's goes before the base's."""
        if self.project is None or not self.project.conf_folder:
            return {}
        entries: dict[str, tuple[str, int]] = {}
        for env in dict.fromkeys((self.project.run_env, self.project.base_env)):
            folder = self.root / self.project.conf_folder / env
            found = {*folder.glob("**/catalog*.y*ml"), *folder.glob("catalog*/**/*.y*ml")}
            for file in sorted(filter(Path.is_file, found)):
                for name, line, _ in _yaml_entries(_compose_yaml(file)):
                    entries.setdefault(name, (file.relative_to(self.root).as_posix(), line))
        return entries

    def _find_node(self, name: str) -> tuple[str | None, int | None]:
        node = self.nodes.get(name)
        code = _code_of(node.kedro_node.func) if node is not None and node.kedro_node is not None else None
        if code is None or not Path(code.co_filename).is_relative_to(self.root):
            return None, None
        return Path(code.co_filename).relative_to(self.root).as_posix(), code.co_firstlineno


def _code_of(function: Any) -> Any:
    """Return the code object behind a node's function."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(inspect.unwrap(function), "__code__", None)


def _line_of(file: Path, key: Sequence[str]) -> int | None:
    """Return the line of a YAML file that a key is on, or the longest part of it; it counts from 1."""
    yaml_node = _compose_yaml(file)
    line: int | None = None
    for part in key:
        entry = _entries_by_key(yaml_node).get(part)
        if entry is None:
            return line
        line, yaml_node = entry
    return line


@functools.lru_cache(maxsize=64)
def _compose_yaml(file: Path) -> Any:
    import yaml

    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return None


@functools.lru_cache(maxsize=4096)
def _entries_by_key(yaml_node: Any) -> dict[str, tuple[int, Any]]:
    """Return line and value of the entries of a YAML map or list by key; the first of several with one key."""
    return {key: (line, value) for key, line, value in reversed(_yaml_entries(yaml_node))}


def _yaml_entries(yaml_node: Any) -> list[tuple[str, int, Any]]:
    """Return key, line and value of the entries of a YAML map or list."""
    import yaml

    if isinstance(yaml_node, yaml.MappingNode):
        return [(str(key.value), key.start_mark.line + 1, value) for key, value in yaml_node.value]
    if isinstance(yaml_node, yaml.SequenceNode):
        return [(str(index), value.start_mark.line + 1, value) for index, value in enumerate(yaml_node.value)]
    return []
