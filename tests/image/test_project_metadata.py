"""The project's own metadata in the image: written by the commands of the Dockerfile, read by importlib.metadata."""

from __future__ import annotations

import subprocess
from importlib.metadata import Distribution, distributions
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.image.project_metadata import metadata_commands
from tests.checks.cases import make_scenario
from tests.scenarios import make_project
from tests.support.check_runner import check

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer


def install(folder: Path, pyproject: str) -> list[Distribution]:
    """Run the commands with a `python` that names a folder of this test, and return the packages in it."""
    site = folder / "site"
    files = {
        "bin/python": f"#!/bin/sh\necho '{site}'\n",
        "pyproject.toml": pyproject,
        "VERSION": "4\n",
        "src/own/__init__.py": "__version__: str = '0.7'\n",
        "src/own/about.py": "NUMBER = '3.1'\n__version__ = '5.0'\n",
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "bin" / "python").chmod(0o755)
    commands = metadata_commands(folder, "src", "own")
    subprocess.run(["sh", "-ec", " && ".join(commands)], env={"PATH": f"{folder}/bin:/usr/bin:/bin"}, check=True)
    return list(distributions(path=[str(site)]))


def test_name_version_and_entry_points_are_there(tmp_path: Path) -> None:
    text = """
    [project]
    name = "My.own-project"
    version = "1.2rc1"
    [project.entry-points."kedro.hooks"]
    audit = "own.hooks:hooks"
    "it's" = "own.hooks:more"
    [project.entry-points.empty]
    """
    (found,) = install(tmp_path, text)
    assert (found.metadata["Name"], found.version) == ("My.own-project", "1.2rc1")
    assert {(one.group, one.name, one.value) for one in found.entry_points} == {
        ("kedro.hooks", "audit", "own.hooks:hooks"),
        ("kedro.hooks", "it's", "own.hooks:more"),
    }
    assert found.read_text("top_level.txt") == "own\n"


@pytest.mark.parametrize(
    ("table", "version"),
    [
        ("[project]\nname = 'own'\ndynamic = ['version']", "0.7"),
        ("[project]\nname = 'own'\n[tool.setuptools.dynamic]\nversion = {attr = 'own.about.NUMBER'}", "3.1"),
        ("[project]\nname = 'own'\n[tool.setuptools.dynamic]\nversion = {file = 'VERSION'}", "4"),
        ("[project]\nname = 'own'\n[tool.hatch.version]\npath = 'src/own/about.py'", "5.0"),
        ("[tool.poetry]\nname = 'own'\nversion = '6'\n[tool.poetry.plugins.'kedro.hooks']\na = 'own:a'", "6"),
        ("[project]\nname = 'own'\nversion = '$(id) bad'", "0.7"),
    ],
)
def test_the_version_is_that_which_a_build_would_read(tmp_path: Path, table: str, version: str) -> None:
    (found,) = install(tmp_path, table)
    assert found.version == version


HOOKS = """
from kedro.framework.hooks import hook_impl


class Hooks:
    @hook_impl
    def after_catalog_created(self, catalog):
        catalog["x"] = 1


hooks = Hooks()
"""


@pytest.mark.parametrize(
    ("value", "settings_py", "code", "findings"),
    [
        ("project.hooks:hooks", "", 0, {"hooks"}),
        ("project.hooks:nothing", "", 2, {"project"}),
        ("project.absent:hooks", "", 2, {"project"}),
        ("project.hooks:hooks", "from project.hooks import hooks\nHOOKS = (hooks,)\n", 2, {"project"}),
    ],
)
def test_hooks_of_the_projects_own_entry_points_are_loaded_as_in_pods(
    kedro: KedroServer, tmp_path: Path, value: str, settings_py: str, code: int, findings: set[str]
) -> None:
    scenario = make_scenario(
        "hooks",
        settings_py=settings_py,
        files={
            "{package}/hooks.py": HOOKS,
            "pyproject.toml": "[tool.kedro]\npackage_name = 'project'\nproject_name = 'project'\n"
            "kedro_init_version = '1.7.0'\n[project]\nname = 'project'\nversion = '1'\n"
            f"[project.entry-points.'kedro.hooks']\nown = '{value}'\n",
        },
    )
    outcome, found = check(kedro, make_project(scenario, tmp_path / "p"))
    assert (outcome, {one["code"] for one in found} & {"hooks", "project"}) == (code, findings)


def test_a_project_without_a_name_gets_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool.kedro]\npackage_name = 'own'\n")
    assert metadata_commands(tmp_path, "src", "own") == []
