"""Where a finding is, for programs: file and line, node, dataset, task, taken from its `where`.

A `where` is one of: `<file>`, `<file>: <key>`, `<file>, line <n>`, each with or without a thing after a comma; or a thing: a kind
and a name in quotes, as in `dataset 'raw'`. Anything else is left as it is.
"""

from __future__ import annotations

import ast
import functools
import inspect
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kedro_k8s_airflow.plan.model import Plan
    from kedro_k8s_airflow.project import Project

_NAME = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_THING = re.compile(rf"(?P<kind>[a-z]+) (?P<name>{_NAME})(?: and [0-9]+ more)?\Z")
_FILE = re.compile(
    r"(?P<file>[^:,'\"]*[^:,'\"\s])(?:, line (?P<line>[0-9]+)|: (?P<key>[^'\",]+))?(?:,.*)?\Z", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Place:
    """A place; `kind` is what `name` is the name of: node, dataset, task, dag, pipeline, ..."""

    file: str | None = None
    line: int | None = None
    key: str | None = None
    kind: str | None = None
    name: str | None = None


def parsed(where: str) -> Place:
    """What a `where` says by itself."""
    thing = re.search(rf"(?:^|, )({_THING.pattern})", where)
    found = Place()
    rest = where
    if thing is not None:
        found = Place(kind=thing["kind"], name=str(ast.literal_eval(thing["name"])))
        rest = where[: thing.start()]
    match = _FILE.match(rest)
    if match and ("." in match["file"] or "/" in match["file"]):
        found = replace(found, file=match["file"], key=match["key"], line=int(match["line"]) if match["line"] else None)
    return found


class Locator:
    """Finds file and line of things in a project: keys in YAML files, datasets in the catalog, nodes in the source."""

    def __init__(self, root: Path, project: Project | None = None, plans: Sequence[Plan] = ()) -> None:
        self.root = root
        self.project = project
        self.first = {task.id: task.nodes[0] for plan in plans for task in plan.tasks if task.nodes}
        nodes = [node for nodes in (project.pipelines if project else {}).values() for node in nodes]
        self.nodes = {node.name: node for node in nodes}

    def in_repository(self, file: str | None) -> str | None:
        """A file of the project as its git repository names it, which may have the project in a folder."""
        if file is None:
            return None
        above = next((one for one in (self.root, *self.root.parents) if (one / ".git").exists()), self.root)
        return (self.root / file).relative_to(above).as_posix()

    def __call__(self, where: str) -> Place:
        """The place of a finding, with file and line where they can be found."""
        place = parsed(where)
        if place.file is not None:
            if not (self.root / place.file).is_file():
                return replace(place, file=None, line=None)
            if place.key is not None and place.line is None:
                return replace(place, line=_line(self.root / place.file, place.key.split(".")))
            return place
        file, line = None, None
        if place.kind == "dataset" and place.name:
            file, line = self._dataset(place.name)
        elif place.kind in ("node", "task") and place.name:
            file, line = self._node(self.first.get(place.name, place.name) if place.kind == "task" else place.name)
        return replace(place, file=file, line=line)

    def _dataset(self, name: str) -> tuple[str | None, int | None]:
        """The entry of a dataset, of one of its transcoded forms, or of the factory that makes it."""
        forms = [name, *sorted(one for one in self._entries if one.startswith(f"{name}@"))]
        pattern = self.project.catalog.pattern(name) if self.project is not None else None
        known = [one for one in [*forms, *([pattern] if pattern else [])] if one in self._entries]
        return self._entries[known[0]] if known else (None, None)

    @functools.cached_property
    def _entries(self) -> dict[str, tuple[str, int]]:
        """File and line of every entry of the catalog; an overlay's goes before the base's."""
        if self.project is None or not self.project.conf_folder:
            return {}
        found: dict[str, tuple[str, int]] = {}
        for env in dict.fromkeys((self.project.run_env, self.project.base_env)):
            folder = self.root / self.project.conf_folder / env
            for file in sorted({*folder.glob("**/catalog*.y*ml"), *folder.glob("catalog*/**/*.y*ml")}):
                for name, line, _ in _entries(_composed(file)):
                    found.setdefault(name, (file.relative_to(self.root).as_posix(), line))
        return found

    def _node(self, name: str) -> tuple[str | None, int | None]:
        node = self.nodes.get(name)
        code = _code(node.live.func) if node is not None and node.live is not None else None
        if code is None or not Path(code.co_filename).is_relative_to(self.root):
            return None, None
        return Path(code.co_filename).relative_to(self.root).as_posix(), code.co_firstlineno


def _code(function: Any) -> Any:
    """The code object behind a node's function."""
    while isinstance(function, functools.partial):
        function = function.func
    return getattr(inspect.unwrap(function), "__code__", None)


def _line(file: Path, path: Sequence[str]) -> int | None:
    """The line of a YAML file that a key is on, or the longest part of it; it counts from 1."""
    root = _composed(file)
    line: int | None = None
    for part in path:
        entry = next((one for one in _entries(root) if one[0] == part), None)
        if entry is None:
            return line
        _, line, root = entry
    return line


@functools.lru_cache(maxsize=64)
def _composed(file: Path) -> Any:
    import yaml

    try:
        return yaml.compose(file.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (OSError, ValueError, yaml.YAMLError):
        return None


def _entries(node: Any) -> list[tuple[str, int, Any]]:
    """Key, line and value of the entries of a YAML map or list."""
    import yaml

    if isinstance(node, yaml.MappingNode):
        return [(str(key.value), key.start_mark.line + 1, value) for key, value in node.value]
    if isinstance(node, yaml.SequenceNode):
        return [(str(index), value.start_mark.line + 1, value) for index, value in enumerate(node.value)]
    return []
