"""The modules that the project's code imports: found in the source of what was loaded with the project."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kedro_k8s_airflow.locations import Location

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_CATCHES_IMPORT_ERROR = frozenset({"BaseException", "Exception", "ImportError", "ModuleNotFoundError"})
_IMPORT_FUNCTIONS = frozenset({"__import__", "import_module"})
_IMPORT_LINE = re.compile(rb"^([ \t]*)(?:from|import)[ \t]+([\w.]+)([ \t]*,)?", re.MULTILINE)
# Part of every environment of Kedro.
_ALWAYS_INSTALLED = frozenset({*sys.stdlib_module_names, "kedro"})


@dataclass(frozen=True, slots=True, order=True)
class ModuleImport:
    """A module that is not below the folder of the project's code, and one line that imports it.

    Attributes:
        module: dotted name.
        file: file that imports it, relative to the project's folder; "" for a class that only the catalog names.
        line: line of that file.
        is_optional: whether pods may run without the module: the code catches its absence, or it is of the command line.
        origin: file of the module if it is in the project's folder, relative to it.
    """

    module: str
    file: str
    line: int
    is_optional: bool = False
    origin: str | None = None

    @property
    def location(self) -> Location:
        """Return where it is imported."""
        return Location(file=self.file, line=self.line) if self.file else Location(subject="catalog")


@dataclass(frozen=True, slots=True)
class _ImportStatement:
    module: str
    line: int
    is_optional: bool


def find_imports(root: Path, code: Path, package: str, classes: Iterable[str] = ()) -> tuple[ModuleImport, ...]:
    """Return what the loaded modules of a project import, at their top or in functions.

    Args:
        root: the project's folder.
        code: the folder of the project's code: of the source, or of the package if there is no source folder.
        package: name of the project's package.
        classes: full names of the classes in the catalog.
    """
    source = code.parent if code.name == package and (code / "__init__.py").is_file() else code
    found: dict[str, ModuleImport] = {}

    def add(module_import: ModuleImport) -> None:
        before = found.get(module_import.module)
        if before is None or (before.is_optional, before.file, before.line) > (
            module_import.is_optional,
            module_import.file,
            module_import.line,
        ):
            found[module_import.module] = module_import

    todo = sorted(_loaded_files(root))
    for name in sorted({class_name.rpartition(".")[0] for class_name in classes} - {""}):
        files = _project_files(name, source)
        todo += files
        # A name such as `pandas.CSVDataset` is one of kedro-datasets.
        if not files and "." in name and name.partition(".")[0] not in _ALWAYS_INSTALLED:
            add(ModuleImport(name, "", 0))
    command_line = {source / package / "cli.py", source / package / "__main__.py"}
    seen: set[Path] = set()
    while todo:
        file = todo.pop()
        if file in seen:
            continue
        seen.add(file)
        for statement in _read_imports(file, source):
            files = _project_files(statement.module, source)
            todo += files
            if statement.module.partition(".")[0] in _ALWAYS_INSTALLED or any(
                path.is_relative_to(code) for path in files
            ):
                continue
            origin = files[0] if files else _loaded_origin(root, statement.module)
            add(
                ModuleImport(
                    statement.module,
                    file.relative_to(root).as_posix(),
                    statement.line,
                    statement.is_optional or file in command_line,
                    origin.relative_to(root).as_posix() if origin else None,
                )
            )
    return tuple(sorted(found.values()))


def _loaded_files(root: Path) -> set[Path]:
    """Return the source files of all loaded modules in the project's folder, except the program that runs."""
    # The program is often a script of a virtual environment in the project's folder. multiprocessing gives it a second name.
    modules = [module for module in list(sys.modules.values()) if module is not sys.modules["__main__"]]
    places = [getattr(module, "__dict__", {}).get("__file__") for module in modules]
    return {Path(place) for place in places if isinstance(place, str) and _is_in_project(root, place)}


def _loaded_origin(root: Path, name: str) -> Path | None:
    """Return the file or folder of a loaded module that is in the project's folder, but not importable from its source."""
    module = sys.modules.get(name) or sys.modules.get(name.partition(".")[0])
    for place in (getattr(module, "__file__", None), *getattr(module, "__path__", ())):
        if isinstance(place, str) and _is_in_project(root, place):
            return Path(place)
    return None


def _is_in_project(root: Path, place: str) -> bool:
    """Return whether a path is in the project's folder, except in a virtual environment there."""
    return place.startswith(f"{root}/") and "site-packages" not in Path(place).parts


def _project_files(name: str, source: Path) -> list[Path]:
    """Return the files of the project that an import of this name runs, the module itself first.

    Args:
        name: dotted name of a module, or of something in a module.
        source: the folder from which the project's code is imported.
    """
    parts = name.split(".")
    files: list[Path] = []
    for length in range(len(parts), 0, -1):
        path = source.joinpath(*parts[:length])
        files += [file for file in (path.with_name(f"{path.name}.py"), path / "__init__.py") if file.is_file()]
    return files


def _read_imports(file: Path, source: Path) -> Iterator[_ImportStatement]:
    """Yield the imports of a file, unless all of them are of modules that are there and loaded."""
    try:
        content = file.read_bytes()
        if not _may_import_others(content, source):
            return
        tree = ast.parse(content)
    except (OSError, SyntaxError, ValueError):
        return
    package = file.relative_to(source).parent.parts if file.is_relative_to(source) else ()
    yield from _imports_in(tree.body, package, is_optional=False)
    if any(name.encode() in content for name in _IMPORT_FUNCTIONS):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _last_name(node.func) in _IMPORT_FUNCTIONS and node.args:
                argument = node.args[0]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value[:1] != ".":
                    yield _ImportStatement(argument.value, node.lineno, is_optional=False)


def _may_import_others(content: bytes, source: Path) -> bool:
    """Return whether a file may import what is neither Kedro's, nor Python's, nor loaded with the file: parsing takes longer."""
    if any(name.encode() in content for name in _IMPORT_FUNCTIONS):
        return True
    for indent, name, more in _IMPORT_LINE.findall(content):
        top = name.decode("ascii", "replace").partition(".")[0]
        is_own = not top or (source / top).is_dir() or (source / f"{top}.py").is_file()
        if more or (indent if is_own else top not in _ALWAYS_INSTALLED):
            return True
    return False


def _imports_in(body: Sequence[ast.AST], package: tuple[str, ...], *, is_optional: bool) -> Iterator[_ImportStatement]:
    """Yield the imports among statements and the statements inside them.

    Args:
        body: statements, exception handlers or cases.
        package: parts of the name of the package that they are in.
        is_optional: whether the code around them catches a failing import.
    """
    for node in body:
        if isinstance(node, ast.Import):
            yield from (_ImportStatement(alias.name, node.lineno, is_optional) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            if module and (above or not node.level):
                yield _ImportStatement(module, node.lineno, is_optional)
                if package and module.partition(".")[0] == package[0]:  # a name may be a module of the project
                    yield from (
                        _ImportStatement(f"{module}.{alias.name}", node.lineno, is_optional) for alias in node.names
                    )
        elif isinstance(node, ast.If) and _last_name(node.test) == "TYPE_CHECKING":
            yield from _imports_in(node.orelse, package, is_optional=is_optional)
        elif isinstance(node, ast.Try):
            is_caught = is_optional or any(_catches_import_error(handler.type) for handler in node.handlers)
            yield from _imports_in(node.body, package, is_optional=is_caught)
            # What a handler imports stands in for what was missing.
            yield from _imports_in(node.handlers, package, is_optional=is_caught)
            yield from _imports_in([*node.orelse, *node.finalbody], package, is_optional=is_optional)
        elif not _is_main_guard(node):
            is_caught = is_optional or (isinstance(node, ast.With) and any(map(_suppresses_import_error, node.items)))
            for name in ("body", "orelse", "cases"):
                yield from _imports_in(getattr(node, name, ()), package, is_optional=is_caught)


def _catches_import_error(kind: ast.expr | None) -> bool:
    kinds = kind.elts if isinstance(kind, ast.Tuple) else [kind]
    return any(one is None or _last_name(one) in _CATCHES_IMPORT_ERROR for one in kinds)


def _suppresses_import_error(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and _last_name(call.func) == "suppress"
        and any(map(_catches_import_error, call.args))
    )


def _is_main_guard(node: ast.AST) -> bool:
    """Return whether a statement is `if __name__ == "__main__":`."""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Compare) and _last_name(node.test.left) == "__name__"


def _last_name(node: ast.AST) -> str:
    """Return the last part of a dotted name, or ""."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
