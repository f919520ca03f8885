"""The configuration is resolved in the environment of the pods, whatever this machine has in its own."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kedro_k8s_airflow.image import content_hash
from kedro_k8s_airflow.project.pod_environment import (
    find_placeholders,
    read_as_pods,
    read_pod_variables,
    remove_placeholders,
)
from tests.checks.cases import READS_VARIABLE, make_scenario
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


def test_placeholders_are_whole_names() -> None:
    value = {"a": ["$DB_URL", "x/$DB/y"], "b": "$OTHER"}
    assert list(find_placeholders(value, {"DB"})) == [("DB", ("a",))]
    assert remove_placeholders(value, {"DB"}) == {"a": ["$DB_URL", "x//y"], "b": "$OTHER"}
