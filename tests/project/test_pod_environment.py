"""The configuration is resolved in the environment of the pods, whatever this machine has in its own."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.image import content_hash
from kedro_k8s_airflow.project.environment_reads import find_reads_of_loaded_modules
from kedro_k8s_airflow.project.pod_environment import (
    find_placeholders,
    read_as_pods,
    read_pod_variables,
    remove_placeholders,
)
from tests.checks.cases import BY_CODE, READS_VARIABLE, make_scenario
from tests.scenarios import make_project
from tests.scenarios.factory import read_tree

if TYPE_CHECKING:
    from tests.support.kedro_server import KedroServer

# A resolver of the project's own that reads the environment.
_OWN_RESOLVER = """
import os

from omegaconf.resolvers import oc


def read_all(name):
    return {**os.environ}.get(name, "none")


CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    "custom_resolvers": {"oc.env": oc.env, "mine": lambda name: os.environ[name], "all": read_all},
}
"""
_SETTINGS = "tasks: {all: {env: [{name: SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}]}}\n"
_PATH = {"type": "pickle.PickleDataset", "filepath": "s3://${oc.env:SECRET}/a.pkl"}


@pytest.mark.parametrize(
    "different",
    [
        {"catalog": {"a_out": _PATH}},
        {"catalog": {"{any}": {**_PATH, "filepath": "s3://b/${oc.env:SECRET}/{any}.pkl"}}},
        {"catalog": {"a_out": {**_PATH, "filepath": "data/${oc.env:SECRET}/a.pkl"}}},
        {"catalog": {"a_out": {**_PATH, "fs_args": {"token": "${oc.env:SECRET}"}}}},
        {"catalog": {"a_out": {**_PATH, "credentials": {"secret": "${oc.env:SECRET}"}}}},
        {"parameters": {"a": {"b": ["x${oc.env:SECRET}"]}}},
        {"parameters": {"a": "${oc.decode:${oc.env:SECRET}}"}},
        {"parameters": {"a": "${mine:SECRET}", "b": "${all:SECRET}"}},
        {"parameters": {"a": "${runtime_params:x,${oc.env:SECRET}}"}},
        {"parameters": {"a": "${oc.env:${globals:name}}"}, "files": {"{conf}/base/globals.yml": "name: SECRET\n"}},
        {"parameters": {"a": "${globals:x}"}, "files": {"{conf}/base/globals.yml": "x: '${oc.env:SECRET}'\n"}},
    ],
    ids=str,
)
def test_dags_have_the_same_bytes_on_two_machines_and_no_value_of_either(
    different: dict[str, object], kedro: KedroServer, tmp_path: Path
) -> None:
    scenario = make_scenario("x", settings_py=_OWN_RESOLVER, settings=_SETTINGS)
    catalog = {**scenario.catalog, **different.pop("catalog", {})}  # type: ignore[dict-item]
    scenario = make_scenario("x", settings_py=_OWN_RESOLVER, settings=_SETTINGS, catalog=catalog, **different)
    project = make_project(scenario, tmp_path / "project")
    trees = []
    for env in ({"SECRET": "CANARY1"}, {"SECRET": "s3://CANARY2"}, {}):
        outcome = kedro.run_command("k8s-airflow", "create", cwd=project, env=env)
        assert outcome.code == 0, outcome.err
        assert "CANARY" not in outcome.output
        trees.append(read_tree(project))
    assert trees[0] == trees[1] == trees[2]
    assert not any(b"CANARY" in content for content in trees[0].values() if isinstance(content, bytes))


def test_a_literal_of_the_settings_decides_where_data_lies(kedro: KedroServer, tmp_path: Path) -> None:
    """Here `a_out` is on the pod's disk without the variable, so that both nodes would share a pod."""
    catalog = {
        **make_scenario("x").catalog,
        "a_out": {"type": "pickle.PickleDataset", "filepath": "${oc.env:PLACE,other}/a.pkl"},
    }
    fused = make_scenario("x", catalog=catalog, **READS_VARIABLE)
    apart = make_scenario("x", catalog=catalog, settings="build: {env: {PLACE: 's3://bucket'}}\n", **READS_VARIABLE)
    for scenario, count in ((fused, 1), (apart, 2)):
        project = make_project(scenario, tmp_path / str(count))
        outcome = kedro.run_command(
            "k8s-airflow", "plan", "--format", "json", "--output", "plan.json", cwd=project, env={"PLACE": "elsewhere"}
        )
        assert outcome.code == 0, outcome.err
        (dag,) = json.loads((project / "plan.json").read_text())["dags"]
        assert len(dag["tasks"]) == count


def test_a_credentials_file_of_references_is_in_the_image(kedro: KedroServer, tmp_path: Path) -> None:
    entry = {"type": "pickle.PickleDataset", "filepath": "s3://b/a.pkl", "credentials": "dev"}
    catalog = {**make_scenario("x").catalog, "a_out": entry}
    for name, text, is_in_image in (
        ("references", "dev: {key: '${oc.env:KEY}'}\n", True),
        ("variables that no pod has", "dev: {key: '${oc.env:OTHER}'}\n", False),
        ("literals", "dev: {key: hunter2}\n", False),
    ):
        scenario = make_scenario(
            "x",
            catalog=catalog,
            files={"{conf}/base/credentials.yml": text},
            settings="tasks: {all: {env: [{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]}}\n",
        )
        project = make_project(scenario, tmp_path / name)
        outcome = kedro.run_command("k8s-airflow", "create", cwd=project)
        assert outcome.code == 0, outcome.err
        admitted = set(content_hash.admitted_files(project, (project / ".dockerignore").read_text()))
        assert ("conf/base/credentials.yml" in admitted) == is_in_image
        assert ("[credentials]" in outcome.err) != is_in_image


def test_a_resolver_that_does_not_understand_a_placeholder_gets_a_literal(kedro: KedroServer, tmp_path: Path) -> None:
    resolvers = _OWN_RESOLVER.replace("lambda name: os.environ[name]", "lambda name: int(os.environ[name])")
    of_secret = _SETTINGS.replace("SECRET", "PORT")
    different = {"settings_py": resolvers, "parameters": {"port": "${mine:PORT}"}}
    project = make_project(make_scenario("x", settings=of_secret, **different), tmp_path / "refused")
    outcome = kedro.run_command("k8s-airflow", "create", cwd=project, env={"PORT": "1234567"})
    assert outcome.code == 1
    assert "conf/base/parameters.yml: port: cannot be read" in outcome.err
    assert "Give it a literal value: `build.env`" in outcome.err
    assert "1234567" not in outcome.output
    settings = of_secret + "build: {env: {PORT: '1'}}\n"
    project = make_project(make_scenario("x", settings=settings, **different), tmp_path / "created")
    outcome = kedro.run_command("k8s-airflow", "create", cwd=project)
    assert outcome.code == 0, outcome.err


def test_the_settings_module_is_searched_for_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kedro imports it before any plugin runs."""
    file = tmp_path / "settings.py"
    file.write_text(
        "import os\nfrom os import environ, getenv\n"
        "A = os.environ['VAR_A']\nB = [environ.get('VAR_B', 1)]\nif A:\n    C = getenv('VAR_C')\n"
        "def later():\n    return os.environ['VAR_D']\nE = lambda: os.getenv('VAR_E')\n"
    )
    module = ModuleType("settings_of_this_test")
    module.__file__ = str(file)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("VAR_B", "here")
    reads = find_reads_of_loaded_modules(tmp_path)
    assert [(read.name, read.line, read.value) for read in reads] == [
        ("VAR_A", 3, None),
        ("VAR_B", 4, "here"),
        ("VAR_C", 6, None),
    ]
    assert "here" not in repr(reads)


@pytest.mark.parametrize(
    ("value", "pods", "phrase"),
    [
        ("small", "large", "another value here than in any pod"),
        (None, "large", "not set here, as it is in any pod"),
        ("large", "large", None),
    ],
)
def test_a_variable_that_the_registry_reads_has_one_value_everywhere(
    value: str | None, pods: str, phrase: str | None, kedro: KedroServer, tmp_path: Path
) -> None:
    registry = BY_CODE["env-registry"].violating["registry"]
    settings = f"build: {{env: {{MODE: {pods}}}}}\n"
    project = make_project(make_scenario("x", registry=registry, settings=settings), tmp_path / "project")
    outcome = kedro.run_command("k8s-airflow", "check", cwd=project, env={} if value is None else {"MODE": value})
    assert ("[env-registry]" in outcome.output) == (phrase is not None)
    assert phrase is None or phrase in outcome.output


def test_variables_of_the_settings_are_known_by_their_values() -> None:
    settings = {
        "build": {"env": {"A": "image", "B": 1}},
        "images": {"gpu": {"env": {"C": "c"}}, "bad": None},
        "tasks": {
            "one": {"env": [{"name": "A", "value": "pod"}, {"name": "D", "valueFrom": {}}, "bad"]},
            "two": {"env": [{"name": "D", "value": "x"}, {"name": "E", "value": "{{ run_id }}"}]},
            "bad": [],
        },
    }
    variables = read_pod_variables(settings)
    assert {name: variables[name] for name in "ABCDE"} == {"A": "pod", "B": "1", "C": "c", "D": "x", "E": None}


def test_code_of_libraries_sees_the_environment_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "1")
    # This file is not below that folder.
    value, reads = read_as_pods(Path("/project"), {}, lambda: (os.environ.get("HERE"), "HERE" in os.environ))
    assert (value, list(reads.names)) == (("1", True), [])


def test_a_library_that_a_resolver_calls_sees_this_machine_with_a_warning(kedro: KedroServer, tmp_path: Path) -> None:
    """Such as a client of a cloud; a program is found on PATH, and files in HOME."""
    settings_py = """
import gettext
import subprocess


def ask(name):
    subprocess.run(["true"], check=True)
    return name


def language():
    return str(gettext.find("nothing", all=True)) and "x"


CONFIG_LOADER_ARGS = {
    "base_env": "base", "default_run_env": "local", "custom_resolvers": {"ask": ask, "language": language}
}
"""
    scenario = make_scenario("x", settings_py=settings_py, parameters={"a": "${ask:x}", "b": "${language:}"})
    project = make_project(scenario, tmp_path / "project")
    outcome = kedro.run_command("k8s-airflow", "check", cwd=project, env={"LANGUAGE": "fr"})
    assert outcome.code == 0, outcome.output
    assert "[env-differs] configuration: reads the environment variable 'LANGUAGE'" in outcome.output
    assert "The DAG is made with it." in outcome.output


def test_placeholders_are_whole_names() -> None:
    value = {"a": ["$DB_URL", "x/$DB/y"], "b": "$OTHER"}
    assert list(find_placeholders(value, {"DB"})) == [("DB", ("a",))]
    assert remove_placeholders(value, {"DB"}) == {"a": ["$DB_URL", "x//y"], "b": "$OTHER"}
