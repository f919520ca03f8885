"""`init` writes settings that work at once for the project at hand, and never overwrites."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.scenarios import make_project
from tests.scenarios.model import Node, Scenario, Works, default_pipeline
from tests.support.paths import DEMO

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

AIRFLOW_YML = """
default:
  start_date: [2023, 4, 5]
  schedule_interval: "@daily"
  owner: "R&D"
  retries: 2
  retry_delay: 3
  max_active_runs: 3
  email_on_failure: false
  depends_on_past: true
training:
  schedule: "0 1 * * *"
gone:
  owner: nobody
"""


def run_kedro(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A kedro command in a project."""
    return subprocess.run(
        [sys.executable, "-m", "kedro", *arguments], cwd=project, capture_output=True, text=True, check=False
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The demo project without settings."""
    pytest.importorskip("kedro_datasets", reason="the demo needs kedro-datasets, which this environment lacks")
    copy = tmp_path / "project"
    shutil.copytree(
        DEMO, copy, ignore=shutil.ignore_patterns("data", "dags", "k8s_airflow.yml", "Dockerfile", ".k8s-airflow")
    )
    return copy


def test_new_settings_work_without_changes(project: Path) -> None:
    result = run_kedro(project, "k8s-airflow", "init")
    assert result.returncode == 0, result.stderr
    settings = yaml.safe_load((project / "conf" / "base" / "k8s_airflow.yml").read_text())
    volume = {"claim": "flights-data", "mount": "data", "accessMode": "ReadWriteMany"}
    assert settings["data"]["volumes"] == {"data": volume}
    created = run_kedro(project, "k8s-airflow", "create")
    assert created.returncode == 0, created.stderr
    assert [path.name for path in (project / "dags").iterdir()] == ["flights.py"]


def test_it_never_overwrites(project: Path) -> None:
    file = project / "conf" / "base" / "k8s_airflow.yml"
    file.write_text("image: mine:1\n")
    result = run_kedro(project, "k8s-airflow", "init")
    assert (result.returncode, "conf/base/k8s_airflow.yml" in result.stderr) == (1, True)
    assert file.read_text() == "image: mine:1\n"


def test_kedro_airflow_settings_are_imported(project: Path) -> None:
    (project / "conf" / "base" / "airflow.yml").write_text(AIRFLOW_YML)
    result = run_kedro(project, "k8s-airflow", "init")
    assert result.returncode == 0, result.stderr
    text = (project / "conf" / "base" / "k8s_airflow.yml").read_text()
    settings = yaml.safe_load(text)
    assert settings["dag"] == {
        "schedule": "@daily",
        "start_date": "2023-04-05",
        "owner": "R&D",
        "retries": 2,
        "retry_delay": "3m",
        "max_active_runs": 1,
    }
    assert settings["dags"] == {"__default__": {}, "training": {"schedule": "0 1 * * *"}}
    left = [line for line in text.splitlines() if line.startswith("# - ")]
    assert sorted(line.split(":")[0] for line in left) == [
        "# - default.depends_on_past",
        "# - default.email_on_failure",
        "# - default.max_active_runs",
        "# - gone",
    ]
    assert run_kedro(project, "k8s-airflow", "create").returncode == 0


def test_retries_that_would_append_twice_are_left_out(project: Path) -> None:
    catalog = project / "conf" / "base" / "catalog.yml"
    nodes = project / "src" / "flights" / "pipelines" / "appending" / "__init__.py"
    nodes.parent.mkdir()
    nodes.write_text("""
from kedro.pipeline import Node, Pipeline


def append(table):
    return table


def create_pipeline():
    return Pipeline([Node(append, "flights_raw", "appended", name="append")])
""")
    catalog.write_text(
        catalog.read_text()
        + "appended:\n  type: pandas.CSVDataset\n  filepath: data/appended.csv\n  save_args: {mode: a}\n"
    )
    assert run_kedro(project, "k8s-airflow", "init").returncode == 0
    text = (project / "conf" / "base" / "k8s_airflow.yml").read_text()
    assert yaml.safe_load(text)["dag"]["retries"] == 0
    assert "'appended'" in text


def test_a_local_file_of_the_source_is_left_in_the_image(project: Path) -> None:
    catalog = project / "conf" / "base" / "catalog.yml"
    entry = "airlines_raw:\n  type: pandas.CSVDataset\n  filepath: src/flights/airlines.csv\n"
    catalog.write_text(catalog.read_text() + entry)
    (project / "src" / "flights" / "airlines.csv").write_text("carrier,name\n")
    assert run_kedro(project, "k8s-airflow", "init").returncode == 0
    settings = yaml.safe_load((project / "conf" / "base" / "k8s_airflow.yml").read_text())
    assert settings["data"]["in_image"] == ["src/flights/airlines.csv"]
    assert run_kedro(project, "k8s-airflow", "create").returncode == 0


def test_a_project_that_needs_runtime_parameters_can_begin(kedro: KedroServer, tmp_path: Path) -> None:
    catalog = {
        "raw": {"type": "pickle.PickleDataset", "filepath": "data/${runtime_params:day}/raw.pkl"},
        "out": {"type": "pickle.PickleDataset", "filepath": "data/out.pkl"},
    }
    scenario = Scenario(
        name="runtime-parameters",
        shows="",
        expect=Works(),
        pipelines=default_pipeline(Node("raw", "out", "a")),
        catalog=catalog,
        parameters={"depth": "${runtime_params:depth}"},
        settings=None,
    )
    project = make_project(scenario, tmp_path / "project")
    refused = kedro.run_command("k8s-airflow", "init", cwd=project)
    assert (refused.code, "--params" in refused.err) == (1, True)
    for command in ("init", "create"):
        outcome = kedro.run_command("k8s-airflow", command, "--params", "day=monday,depth=3", cwd=project)
        assert outcome.code == 0, outcome.err
    settings = yaml.safe_load((project / "conf" / "base" / "k8s_airflow.yml").read_text())
    assert settings["data"]["volumes"]["data"]["mount"] == "data"
    assert "monday" not in str(settings)
