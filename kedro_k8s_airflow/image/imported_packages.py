"""The packages that the project's code imports: they stay in the image, and one that is not in it is reported."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from kedro_k8s_airflow.image.dependencies import normalize_package_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from importlib.metadata import Distribution

    from kedro_k8s_airflow.config.models import BuildSettings
    from kedro_k8s_airflow.project.imports import ModuleImport

_NAME = re.compile(r"(?m)^Name:[ \t]*(\S+)")
_RECORDED_MODULE = re.compile(r"(?m)^\"?([A-Za-z_]\w*)(?:/|\.py,|\.[^/,]*\.so,)")
_REQUIREMENT = re.compile(r"(?m)^Requires-Dist:[ \t]*([A-Za-z0-9][A-Za-z0-9._-]*)(?!.*\bextra\s*==)")


@dataclass(frozen=True)
class MissingImport:
    """An import of a module that the image does not contain.

    Attributes:
        module_import: the import.
        packages: the packages that contain the module on this machine; empty if it is a file of the project.
    """

    module_import: ModuleImport
    packages: tuple[str, ...]


def without_imported(build: BuildSettings, imports: Iterable[ModuleImport]) -> BuildSettings:
    """Return a build that excludes no package that the project imports."""
    imported = find_imported_packages(build.exclude, imports)
    return build.model_copy(update={"exclude": tuple(name for name in build.exclude if name not in imported)})


def find_imported_packages(names: Collection[str], imports: Iterable[ModuleImport]) -> dict[str, ModuleImport]:
    """Return those of the named packages that the project imports, each with an import that needs it.

    A package is imported, too, if one that the project imports requires it.

    Args:
        names: names of packages.
        imports: what the project imports.
    """
    by_top_level: dict[str, ModuleImport] = {}
    for module_import in imports:
        before = by_top_level.get(_top_level(module_import))
        if before is None or before.is_optional:
            by_top_level[_top_level(module_import)] = module_import
    if not names or not by_top_level:
        return {}
    installed = _installed_here()
    dependents: dict[str, set[str]] = {}
    for name, distribution in installed.items():
        for required in _REQUIREMENT.findall(distribution.metadata_text):
            dependents.setdefault(normalize_package_name(required), set()).add(name)
    found: dict[str, ModuleImport] = {}
    for name in names:
        todo, seen = [normalize_package_name(name)], set()
        while todo:
            package = todo.pop()
            if package in seen:
                continue
            seen.add(package)
            modules = _modules_of(package, installed.get(package))
            used = [by_top_level[module] for module in sorted(modules) if module in by_top_level]
            if used:
                found[name] = used[0]
                break
            todo += sorted(dependents.get(package, ()))
    return found


def find_missing_imports(
    imports: Iterable[ModuleImport], installed: Collection[str] | None, folders: Collection[str]
) -> Iterator[MissingImport]:
    """Yield the imports of modules that an image will not contain, one for each module or package.

    Args:
        imports: what the project imports.
        installed: normalized names of the packages in the image, or None if they are unknown.
        folders: files and folders of the project in the image.
    """
    by_top_level: dict[str, ModuleImport] = {}
    for module_import in imports:
        if module_import.is_optional:
            continue
        if module_import.origin is not None:
            if not any(module_import.origin == one or module_import.origin.startswith(f"{one}/") for one in folders):
                yield MissingImport(module_import, ())
        elif installed is not None and normalize_package_name(_top_level(module_import)) not in installed:
            by_top_level.setdefault(_top_level(module_import), module_import)
    providers: dict[str, set[str]] = {}
    for name, distribution in _installed_here().items() if by_top_level else ():
        for module in by_top_level.keys() & _modules_of(name, distribution):
            providers.setdefault(module, set()).add(name)
    for module, packages in sorted(providers.items()):
        if installed is not None and packages.isdisjoint(installed):
            yield MissingImport(by_top_level[module], tuple(sorted(packages)))


def _top_level(module_import: ModuleImport) -> str:
    return module_import.module.partition(".")[0]


@dataclass(frozen=True)
class _Installed:
    """A package that is installed here, and the text of its metadata, whose parser takes longer than this search."""

    distribution: Distribution
    metadata_text: str


@cache
def _installed_here() -> dict[str, _Installed]:
    """Return the packages that are installed here, by normalized name."""
    from importlib.metadata import distributions

    found: dict[str, _Installed] = {}
    for distribution in distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        name = _NAME.search(text)
        if name:
            found.setdefault(normalize_package_name(name[1]), _Installed(distribution, text))
    return found


@cache
def _modules_of(name: str, installed: _Installed | None) -> set[str]:
    """Return the top-level modules of a package; of one that is not installed here, the module of the same name."""
    modules = {name.replace("-", "_")}
    if installed is not None:
        modules |= set(_RECORDED_MODULE.findall(installed.distribution.read_text("RECORD") or ""))
        modules |= set((installed.distribution.read_text("top_level.txt") or "").split())
    return modules
