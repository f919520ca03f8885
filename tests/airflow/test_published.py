"""A publish target as Airflow 2 and 3 see it: they find its DAG files and ignore the manifests."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support.environments import find_interpreter
from tests.support.workspace import Workspace, clone_repository, init_bare_repository, make_publish_project

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

# Lists the files that Airflow's own search finds; by default 2.11 reads regular expressions and 3 globs.
LIST_FILES = """
import io, json, logging, sys
heard = io.StringIO()
logging.basicConfig(stream=heard, level=logging.WARNING)
import airflow.utils.file as files
try:
    from airflow._shared.module_loading.file_discovery import find_path_from_directory
except ImportError:
    from airflow.utils.file import find_path_from_directory
folder = sys.argv[1]
report = {
    syntax: sorted(find_path_from_directory(folder, ".airflowignore", syntax)) for syntax in ("glob", "regexp")
}
report["dags"] = sorted(files.list_py_file_paths(folder))
report["warnings"] = heard.getvalue()
print("\\n" + json.dumps(report))
"""


@pytest.fixture
def published(kedro: KedroServer, tmp_path: Path) -> Path:
    """A checkout with the DAGs of two projects and two environments, in three folders."""
    hub = init_bare_repository(tmp_path / "dags.git")
    workspace = Workspace(
        kedro, make_publish_project(tmp_path / "project"), hub, clone_repository(hub, tmp_path / "work")
    )
    workspace.publish()
    workspace.publish("--env", "prod")
    workspace.publish("--subfolder", "teams/manifests", project=make_publish_project(tmp_path / "other", "other"))
    workspace.publish("--subfolder", "teams/x", project=make_publish_project(tmp_path / "manifests", "manifests"))
    return workspace.work


@pytest.mark.parametrize("major", ["3", "2"])
def test_airflow_finds_the_dags_and_ignores_the_manifests(published: Path, tmp_path: Path, major: str) -> None:
    python = find_interpreter(f"KKA_PYTHON_AIRFLOW_{major}")
    dags = {path.relative_to(published).as_posix() for path in published.rglob("*.py")}
    assert len(dags) == 8
    assert len(list(published.rglob("*.json"))) == 4
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    for folder in (published, published / "dags", published / "teams"):
        done = subprocess.run([python, "-c", LIST_FILES, folder], capture_output=True, text=True, env=env, check=True)
        report = json.loads(done.stdout.splitlines()[-1])
        for kind in ("glob", "regexp", "dags"):
            seen = {path for path in report[kind] if "/.git/" not in path}
            expected = {str(published / path) for path in dags if (published / path).is_relative_to(folder)}
            assert seen == expected, kind
        assert report["warnings"] == ""
