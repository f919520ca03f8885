"""The same project gives the same bytes: under any hash seed, in any place, from any folder, on any Python and Kedro."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from tests.scenarios import BY_NAME, make_project
from tests.scenarios.factory import read_tree
from tests.support.environments import find_interpreter
from tests.support.kedro_server import KedroServer
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    Bytes = dict[str, dict[str, bytes | None]]

DEMO = "demo-project"
WITHOUT_DEMO = find_spec("sklearn") is None or find_spec("matplotlib") is None
# One for each part of an emitted file: names, groups, parameters, settings, volumes, several DAGs.
SCENARIOS = (
    "quotes",
    "one-slug",
    "unnamed",
    "odd-namespaces",
    "env-overlay",
    "dags",
    "rules-everything",
    "rules-differ",
    "params-both",
    "pod-between",
    "memory-two-detours",
    "shared-subpipeline",
)


def write_all(kedro: KedroServer, folder: Path, *, below: str = "", demo: bool = True) -> Bytes:
    """What `create` writes for each project, made in `folder` and called from its folder `below`."""
    found = {}
    for name in (*SCENARIOS, *([DEMO] if demo and not WITHOUT_DEMO else [])):
        project = folder / name
        if name == DEMO:
            leave = shutil.ignore_patterns("data", "dags", ".venv", "__pycache__", ".*_cache", ".k8s-airflow")
            shutil.copytree(ROOT / DEMO, project, ignore=leave)
            options = ()
        else:
            make_project(BY_NAME[name], project)
            options = BY_NAME[name].options
        before = read_tree(project)
        result = kedro.run_command("k8s-airflow", "create", *options, cwd=project / below)
        assert result.code == 0, (name, result)
        found[name] = {path: content for path, content in read_tree(project).items() if before.get(path, 0) != content}
    return found


@contextmanager
def start_kedro(folder: Path, python: Path | None = None, **env: str) -> Iterator[KedroServer]:
    """Kedro commands of another interpreter, or with other variables."""
    kedro = KedroServer(folder, python=python, env=env)
    try:
        yield kedro
    finally:
        kedro.close()


@pytest.fixture(scope="module")
def reference(kedro: KedroServer, tmp_path_factory: pytest.TempPathFactory) -> Bytes:
    return write_all(kedro, tmp_path_factory.mktemp("reference"))


@pytest.mark.skipif(WITHOUT_DEMO, reason="the demo's libraries are not in this environment; the scenarios are compared")
def test_the_demo_is_compared_too(reference: Bytes) -> None:
    assert DEMO in reference


# The reference has a seed of its own; the further ones repeat the test.
@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.full) for seed in (2, 3, 4))])
def test_the_hash_seed_changes_no_byte(seed: int, reference: Bytes, tmp_path: Path) -> None:
    with start_kedro(tmp_path / "kedro", PYTHONHASHSEED=str(seed)) as kedro:
        assert write_all(kedro, tmp_path / "projects") == reference


def test_project_location_and_working_directory_change_no_byte(
    kedro: KedroServer, reference: Bytes, tmp_path: Path
) -> None:
    assert write_all(kedro, tmp_path / "a longer way" / "to thé projects", below="conf/base") == reference


def test_time_language_and_columns_change_no_byte(reference: Bytes, tmp_path: Path) -> None:
    other = {"TZ": "Asia/Kathmandu", "LC_ALL": "C", "PYTHONUTF8": "0", "COLUMNS": "20", "HOME": "/nowhere", "USER": "x"}
    with start_kedro(tmp_path / "kedro", **other) as kedro:
        assert write_all(kedro, tmp_path / "projects") == reference


@pytest.mark.parametrize("variable", ["KKA_PYTHON_310", "KKA_PYTHON_313"])
def test_the_version_of_python_changes_no_byte(variable: str, reference: Bytes, tmp_path: Path) -> None:
    with start_kedro(tmp_path / "kedro", python=find_interpreter(variable)) as kedro:
        assert write_all(kedro, tmp_path / "projects") == reference


def test_the_oldest_kedro_gives_the_same_bytes(reference: Bytes, tmp_path: Path) -> None:
    """Without the demo, whose libraries are not in that environment."""
    with start_kedro(tmp_path / "kedro", python=find_interpreter("KKA_PYTHON_KEDRO_OLDEST")) as kedro:
        found = write_all(kedro, tmp_path / "projects", demo=False)
    assert found == {name: files for name, files in reference.items() if name != DEMO}
