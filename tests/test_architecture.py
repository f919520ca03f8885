"""The package is built in layers: imports go down only, and the map in CONTRIBUTING.md names every module."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from tests.support.paths import ROOT
from tools import make_map

if TYPE_CHECKING:
    from pathlib import Path

PACKAGE = ROOT / "kedro_k8s_airflow"
MODULES = make_map.list_modules(PACKAGE)


def find_imports(name: str, path: Path) -> set[str]:
    """The modules of the package that a module imports, inside functions and for type checkers included."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            module = str(node.module)
            found |= {
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in MODULES else module for alias in node.names
            }
    return {module for module in found if module in MODULES} - {name}


IMPORTS = {name: find_imports(name, path) for name, path in MODULES.items()}


def layer_of(module: str) -> int:
    return next(
        number
        for number, layer in enumerate(make_map.LAYERS)
        if any(make_map.belongs_to(module, part) for part in layer.parts)
    )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_module_belongs_to_exactly_one_layer(module: str) -> None:
    layers = [layer.name for layer in make_map.LAYERS if any(make_map.belongs_to(module, part) for part in layer.parts)]
    assert len(layers) == 1


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_only(module: str) -> None:
    """A module may import lower layers and its own package; packages of one layer do not know each other."""
    upward = [
        other
        for other in sorted(IMPORTS[module])
        if layer_of(other) > layer_of(module)
        or (layer_of(other) == layer_of(module) and not make_map.are_close(module, other))
    ]
    assert upward == []


def test_no_module_imports_itself_in_a_circle() -> None:
    tuple(TopologicalSorter(IMPORTS).static_order())  # raises CycleError, which names the modules


def test_the_program_in_the_pod_imports_nothing_of_the_package() -> None:
    assert IMPORTS["kedro_k8s_airflow.pod"] == set()


def test_no_import_renames_a_module() -> None:
    renamed = [
        f"{name}: {alias.name} as {alias.asname}"
        for name, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname and f"{node.module}.{alias.name}" in MODULES
    ]
    assert renamed == []


def test_every_class_has_a_name_of_its_own() -> None:
    homes: dict[str, list[str]] = {}
    for name, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes.setdefault(node.name, []).append(name)
    assert {name: found for name, found in homes.items() if len(found) > 1} == {}


def test_the_map_in_the_guide_for_contributors_is_the_package() -> None:
    page = ROOT / "CONTRIBUTING.md"
    text = page.read_text(encoding="utf-8")
    assert text == make_map.fill_page(text), "run `make docs`"
    assert all(f"`{make_map.short_name(name)}`" in text for name in MODULES)


def test_no_test_module_imports_another_test_module() -> None:
    wrong = [
        f"{path.relative_to(ROOT)}: {node.module}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).rpartition(".")[2].startswith("test_")
    ]
    assert wrong == []
