"""Whether a hook changes the catalog is read from its code."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.project.catalog_hooks import CatalogHook, find_catalog_hooks

if TYPE_CHECKING:
    from pathlib import Path

_SOURCE = """
from kedro.framework.hooks import hook_impl


class Own:
    @hook_impl
    def {spec}(self, {argument}):
        {code}
"""


@pytest.mark.parametrize(
    ("spec", "code", "only_reads"),
    [
        ("before_pipeline_run", "print(catalog.load('x') if catalog.exists('x') else None)", True),
        ("before_pipeline_run", "print('x' in catalog, catalog['x'].load(), [name for name in catalog])", True),
        ("before_pipeline_run", "print(len(catalog), f'{catalog}')", True),
        ("before_pipeline_run", "print('nothing of the catalog')", True),
        ("after_catalog_created", "catalog['x'] = 1", False),
        ("after_catalog_created", "catalog.add('x', 1)", False),
        ("after_catalog_created", "register_tables(catalog)", False),
        ("after_catalog_created", "self.catalog = catalog", False),
        ("after_catalog_created", "catalog['x']._filepath = 'y'", False),
        ("after_context_created", "print(context.params, context.config_loader['mlflow'])", True),
        ("after_context_created", "context.params.update(x=1)", True),
        ("after_context_created", "context.config_loader['catalog']['x'] = {}", False),
        ("after_context_created", "context.config_loader['catalog'].update(x={})", False),
    ],
)
def test_a_hook_that_only_reads_is_recognised(tmp_path: Path, spec: str, code: str, only_reads: bool) -> None:
    argument = "context" if spec == "after_context_created" else "catalog"
    file = tmp_path / "own_hooks.py"
    file.write_text(_SOURCE.format(spec=spec, argument=argument, code=code), encoding="utf-8")
    module_spec = importlib.util.spec_from_file_location("own_hooks", file)
    assert module_spec is not None
    assert module_spec.loader is not None
    module = importlib.util.module_from_spec(module_spec)
    module_spec.loader.exec_module(module)
    assert find_catalog_hooks([module.Own()]) == (CatalogHook("own_hooks.Own", spec, only_reads),)
