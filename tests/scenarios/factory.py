"""From a scenario to a project on the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

if TYPE_CHECKING:
    from pathlib import Path

    from tests.scenarios.model import Names, Node, Scenario

_HEAD = """
from functools import partial

from kedro.pipeline import Node, Pipeline


def work(*args, **kwargs):
    return args


def named(name):
    def func(*args, **kwargs):
        return args

    func.__name__ = name
    return func


def register_pipelines():
    return {
"""


def make_project(scenario: Scenario, folder: Path) -> Path:
    """Write the project into `folder`, which must not be there yet, and return it."""
    folder.mkdir(parents=True)
    package = f"{scenario.source}/{scenario.package}"
    registry = scenario.registry if scenario.registry is not None else _registry(scenario)
    settings_py = f"CONF_SOURCE = {scenario.conf_source!r}\n" if scenario.conf_source else ""
    written: dict[str, str] = {
        "pyproject.toml": _pyproject(scenario),
        "requirements.txt": "kedro>=1.5\nkedro-datasets\npandas\ns3fs\nsqlalchemy\n",
        f"{package}/__init__.py": '__version__ = "0.1"\n',
        f"{package}/settings.py": settings_py + scenario.settings_py,
        f"{package}/pipeline_registry.py": registry,
        f"{scenario.conf}/base/catalog.yml": _yaml(scenario.catalog),
        f"{scenario.conf}/base/parameters.yml": _yaml(scenario.parameters),
    }
    if scenario.settings is not None:
        written[f"{scenario.conf}/base/k8s_airflow.yml"] = scenario.settings
    if scenario.local:
        written[f"{scenario.conf}/local/.gitkeep"] = ""
    for env, text in scenario.overlays.items():
        written[f"{scenario.conf}/{env}/k8s_airflow.yml"] = text
    for name, text in scenario.files.items():
        written[name.replace("{conf}", scenario.conf).replace("{package}", package)] = text
    for name, text in written.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, target in scenario.links.items():
        (folder / name).symlink_to(target)
    return folder


def read_tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below a folder, bytecode left out; a folder has no content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def _pyproject(scenario: Scenario) -> str:
    return (
        "[tool.kedro]\n"
        f'package_name = "{scenario.package}"\n'
        f'project_name = "{scenario.package}"\n'
        'kedro_init_version = "1.5.0"\n'
        f'source_dir = "{scenario.source}"\n'
    )


def _yaml(content: object) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False) if content else ""


def _registry(scenario: Scenario) -> str:
    lines = []
    for name, nodes in scenario.pipelines.items():
        lines.append(f"        {name!r}: Pipeline([\n")
        lines += [f"            {_node(node)},\n" for node in nodes]
        lines.append("        ]),\n")
    return _HEAD + "".join(lines) + "    }\n"


def _node(node: Node) -> str:
    return (
        f"Node({node.func}, {_names(node.inputs)!r}, {_names(node.outputs)!r}, name={node.name!r}, "
        f"tags={list(node.tags)!r}, namespace={node.namespace!r}, confirms={_names(node.confirms)!r})"
    )


def _names(names: Names) -> object:
    return list(names) if isinstance(names, tuple) else names
