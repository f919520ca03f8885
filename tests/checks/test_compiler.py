"""Findings of the compiler itself that no scenario covers."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from kedro_k8s_airflow.locations import Location
from kedro_k8s_airflow.plan.parameters import find_unsendable
from tests.checks.cases import READS_VARIABLE, make_scenario
from tests.scenarios import make_project
from tests.support.check_runner import check, finding_text

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

_FOUND = """
from kedro.framework.project import find_pipelines


def register_pipelines():
    found = find_pipelines()
    return {"__default__": sum(found.values()), "both": found["one"] + found["two"]}
"""
_PIPELINE = """
from kedro.pipeline import Node, Pipeline


def work(*given):
    return given


def create_pipeline():
    return Pipeline([Node(work, {given!r}, {made!r}, name={made!r})])
"""
_FILES = {
    "{package}/pipelines/__init__.py": "",
    "{package}/pipelines/one/__init__.py": _PIPELINE.format(given="raw", made="a_out"),
    "{package}/pipelines/two/__init__.py": _PIPELINE.format(given="a_out", made="b_out"),
}
_READS_LOCAL = """
from pathlib import Path

from kedro.pipeline import Node, Pipeline


def work(given):
    return given


def register_pipelines():
    name = (Path(__file__).parents[2] / "conf" / "local" / "names.yml").read_text().strip("[]\\n")
    return {"__default__": Pipeline([Node(work, "raw", "a_out", name=name)])}
"""
_PYPROJECT = """
[project]
name = "project"
version = "0.1"
requires-python = ">=3.30"
dependencies = ["kedro"]

[tool.kedro]
package_name = "project"
project_name = "project"
kedro_init_version = "1.0.0"
source_dir = "src"
"""


@pytest.mark.parametrize(
    ("code", "different", "phrase"),
    [
        ("pipeline-alone", {"registry": _FOUND, "files": _FILES, "settings": "dags: {both: {}}\n"}, "'both'"),
        (
            "param-runtime",
            {"files": {"{conf}/base/parameters.yml": "day: '${runtime_params:day}'\n"}},
            "value with --params",
        ),
        ("image-local", {"files": {"requirements.txt": "kedro\nkedro-datasets\n-e .\n"}}, "line 3"),
        ("image-python", {"files": {"pyproject.toml": _PYPROJECT, "requirements.txt": "kedro\n"}}, ">=3.30"),
        ("image-lock", {"files": {"k8s-airflow.lock": "{}"}}, "is not a valid image lock"),
        ("checks-unknown", {"settings": "checks: {ignore: [data-lots]}\n"}, "'data-lost'"),
        ("checks-unknown", {"settings": "checks: {ignore: [settings-unknown]}\n"}, "cannot be ignored"),
        ("settings-value", {"settings": "build: {env: {KEDRO_ENV: prod}}\n"}, "--env"),
        ("settings-value", {"settings": "profiles: {p: {env: [{name: KEDRO_ENV, value: prod}]}}\n"}, "--env"),
        (
            "settings-value",
            {"settings": "tasks: {a: {env: [{name: KEDRO_ENV, valueFrom: {configMapKeyRef: {name: c, key: k}}}]}}\n"},
            "--env",
        ),
        (
            "param-environment",
            {
                **READS_VARIABLE,
                "parameters": {"deep": {"token": "${oc.env:TOKEN}"}},
                "settings": "dag: {params: [deep]}\n"
                "tasks: {a: {env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: k}}}]}}\n",
            },
            "'TOKEN'",
        ),
        (
            "conf-local",
            {"registry": _READS_LOCAL, "files": {"{conf}/local/names.yml": "[a]\n"}},
            "conf/local/names.yml",
        ),
        (
            "conf-local",
            {
                "registry": _READS_LOCAL.replace('"local" / "names.yml"', '"base" / "credentials.yml"'),
                "files": {"{conf}/base/credentials.yml": "[a]\n"},
            },
            "conf/base/credentials.yml",
        ),
        ("conf-source", {"settings_py": 'CONF_SOURCE = "."\n'}, "the project's own folder"),
        ("explain-unknown", {}, ""),
    ],
)
def test_a_finding_is_reported_with_its_cause(
    code: str, different: Mapping[str, Any], phrase: str, kedro: KedroServer, tmp_path: Path
) -> None:
    project = make_project(make_scenario(code, **different), tmp_path / "project")
    if code == "explain-unknown":
        outcome = kedro.run_command("k8s-airflow", "explain", "missing", cwd=project)
        assert (outcome.code, "[explain-unknown]" in outcome.err) == (1, True)
        return
    _, findings = check(kedro, project)
    reported = [finding for finding in findings if finding["code"] == code]
    assert reported, findings
    assert phrase in finding_text(reported[0])


def test_a_value_that_json_cannot_represent_is_reported() -> None:
    """Kedro's own loader returns no such value; a custom loader may."""
    location = Location(file="conf/base/k8s_airflow.yml", key=("dag", "params"))
    (finding,) = find_unsendable({"day": date(2026, 1, 1)}, location)
    assert (finding.code, finding.location) == ("param-type", location)


def test_a_second_init_is_refused(kedro: KedroServer, tmp_path: Path) -> None:
    outcome = kedro.run_command("k8s-airflow", "init", cwd=make_project(make_scenario("x"), tmp_path / "project"))
    assert outcome.code == 1
    assert "[settings-there]" in outcome.err


def test_a_dag_file_that_the_settings_no_longer_produce_is_reported(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(
        make_scenario("x", settings="dags: {__default__: {}, old: {pipeline: __default__}}\n"), tmp_path / "p"
    )
    assert kedro.run_command("k8s-airflow", "create", cwd=project).code == 0
    settings = project / "conf" / "base" / "k8s_airflow.yml"
    settings.write_text(settings.read_text().replace(", old: {pipeline: __default__}", ""))
    outcome = kedro.run_command("k8s-airflow", "create", cwd=project)
    assert "[file-stale]" in outcome.err
    assert "project_old.py" in outcome.err
