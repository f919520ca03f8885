"""The JSON schema of the settings file: made from the models, of one mind with them, and where editors look for it."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from pydantic import ValidationError

from kedro_k8s_airflow import files
from kedro_k8s_airflow.config import models, schema
from tests.scenarios import ALL, BY_NAME, WORKING, make_project
from tests.scenarios.factory import read_tree
from tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.kedro_server import KedroServer

jsonschema = pytest.importorskip("jsonschema", reason="this environment has no jsonschema")

SCHEMA: dict[str, Any] = json.loads(schema.read_schema())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
DEMO = sorted((ROOT / "demo-project" / "conf").glob("*/k8s_airflow.yml"))
COMMAND = ("k8s-airflow", "schema")


class Loader(yaml.SafeLoader):
    """YAML as editors and Kedro's loader read it: a date is a text."""


Loader.yaml_implicit_resolvers = {
    sign: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for sign, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_yaml(text: str) -> Any:
    try:
        return yaml.load(text, Loader)  # noqa: S506  a safe loader
    except yaml.YAMLError:
        return None


def is_accepted(content: Any) -> bool:
    try:
        models.parse_settings(content)
    except ValidationError:
        return False
    return True


# --- what is made


def test_the_schema_is_valid_and_refers_to_no_other_host_than_its_dialect() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    body = json.dumps({**SCHEMA, "$schema": ""}).replace("s3://bucket", "")
    assert "://" not in body


def schema_keys(schema: Any, above: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key that a schema names, by its path."""
    if isinstance(schema, dict):
        for name, inside in schema.get("properties", {}).items():
            yield f"{above}.{name}", inside
        for key, inside in schema.items():
            yield from schema_keys(inside, f"{above}.{key}")
    elif isinstance(schema, list):
        for inside in schema:
            yield from schema_keys(inside, above)


def test_every_key_has_a_description() -> None:
    keys = dict(schema_keys(SCHEMA, ""))
    assert len(keys) > 200
    assert [path for path, key_schema in keys.items() if not key_schema.get("description")] == []


def test_the_schema_has_only_the_keys_of_the_models() -> None:
    free = {name for name, definition in SCHEMA["$defs"].items() if definition.get("additionalProperties") is not False}
    assert (SCHEMA["additionalProperties"], free) == (False, set())


# --- of one mind with the models

SETTINGS = {
    **{f"{one.name}": one.settings for one in ALL if one.settings is not None},
    **{f"{one.name}-{env}": text for one in ALL for env, text in one.overlays.items()},
    **{f"demo-{file.parent.name}": file.read_text(encoding="utf-8") for file in DEMO},
}
WHOLE_FILES = [
    name for name, text in SETTINGS.items() if isinstance(read_yaml(text), dict) and is_accepted(read_yaml(text))
]
OVERLAYS = [f"{one.name}-{env}" for one in WORKING for env in one.overlays]


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_an_editor_marks_nothing_in_valid_settings(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read_yaml(SETTINGS[name]))] == []


@pytest.mark.parametrize("name", [*OVERLAYS, *(f"demo-{file.parent.name}" for file in DEMO)])
def test_an_editor_marks_nothing_in_a_partial_overlay(name: str) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read_yaml(SETTINGS[name]))] == []


def test_there_are_settings_to_compare() -> None:
    assert len(WHOLE_FILES) > 100
    assert len(OVERLAYS) >= 2
    assert len(DEMO) == 2


ACCEPTED_VARIANTS = {
    "duration": {"dag": {"retry_delay": "90s"}},
    "seconds": {"tasks": {"x": {"terminationGracePeriodSeconds": 90}}},
    "seconds-as-duration": {"tasks": {"x": {"activeDeadlineSeconds": "2h"}}},
    "quantity-as-number": {"tasks": {"x": {"resources": {"limits": {"cpu": 1.5, "nvidia.com/gpu": 1}}}}},
    "resource-taken-away": {"tasks": {"x": {"resources": {"limits": {"memory": None}}}}},
    "label-taken-away": {"tasks": {"x": {"labels": {"example.com/team": None}}}},
    "selector-taken-away": {"tasks": {"x": {"nodeSelector": {"zone": None}}}},
    "never": {"tasks": {"x": {"activeDeadlineSeconds": None}}},
    "rule-dropped": {"tasks": {"x": None}, "groups": {"x": None}},
    "one-name": {"groups": {"x": {"tag": "a"}}},
    "many-names": {"groups": {"x": {"node": ["a", "b*"]}}},
    "every": {"dag": {"schedule": {"every": "30m"}}},
    "preset": {"dag": {"schedule": "@daily"}},
    "cron": {"dag": {"schedule": "*/5 * * * 1-5"}},
    "by-hand": {"dag": {"schedule": None}},
    "date": {"dag": {"start_date": "2026-01-31", "end_date": "2026-01-31T06:00"}},
    "section-commented-out": {"data": None, "tasks": None, "dags": None, "build": None, "namespace": None},
    "operator": {"tasks": {"x": {"operator": {"startup_timeout_seconds": 5, "poll_interval": 1}}}},
}
REFUSED_SHAPES = {
    "top": {"imige": "x"},
    "misspelt": {"dag": {"shedule": None}},
    "deep": {"tasks": {"x": {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"nam": "x"}}}]}}},
    "duration-without-unit": {"dag": {"retry_delay": "90"}},
    "duration-as-number": {"dag": {"retry_delay": 90}},
    "quantity": {"tasks": {"x": {"resources": {"limits": {"memory": "1 GB"}}}}},
    "resource": {"tasks": {"x": {"resources": {"limits": {"memmory": "1Gi"}}}}},
    "label": {"tasks": {"x": {"labels": {"team": "a b"}}}},
    "label-key": {"tasks": {"x": {"labels": {"a b": "c"}}}},
    "no-name": {"groups": {"x": {"tag": []}}},
    "nothing-to-match": {"groups": {"x": {}}},
    "match-null": {"tasks": {"x": {"match": None}}},
    "match-key-null": {"groups": {"x": {"tag": None}}},
    "preset": {"dag": {"schedule": "@dayly"}},
    "cron-of-six": {"dag": {"schedule": "0 0 * * * *"}},
    "date": {"dag": {"start_date": "31.1.2026"}},
    "pipeline-of-all": {"dag": {"pipeline": "x"}},
    "prefix-of-one": {"images": {"x": {"prefix": ["nice"]}}},
    "owned": {"tasks": {"x": {"operator": {"retries": 1}}}},
    "unknown-argument": {"tasks": {"x": {"operator": {"zzz": 1}}}},
    "argument-null": {"tasks": {"x": {"operator": {"poll_interval": None}}}},
    "list-for-map": {"data": {"volumes": []}},
    "text-for-list": {"data": {"discard": "x"}},
    "number-for-text": {"dag": {"owner": 1}},
    "boolean-for-number": {"dag": {"retries": True}},
    "choice": {"dag": {"group_by": "memry"}},
    "image": {"tasks": {"x": {"image": "Team/X"}}},
    "volume-name": {"data": {"volumes": {"A": {"claim": "a", "mount": "a"}}}},
}


@pytest.mark.parametrize("settings", ACCEPTED_VARIANTS.values(), ids=list(ACCEPTED_VARIANTS))
def test_an_editor_accepts_what_the_models_accept(settings: dict[str, Any]) -> None:
    content = {"image": "registry.example.com/x", **settings}
    assert (is_accepted(content), VALIDATOR.is_valid(content)) == (True, True)


@pytest.mark.parametrize("settings", REFUSED_SHAPES.values(), ids=list(REFUSED_SHAPES))
def test_an_editor_marks_values_whose_shape_the_models_refuse(settings: dict[str, Any]) -> None:
    content = {"image": "registry.example.com/x", **settings}
    assert (is_accepted(content), VALIDATOR.is_valid(content)) == (False, False)


REFERENCES = """
_small: {requests: {cpu: 250m}}
image: "${globals:registry}/team/x"
namespace: ${globals:namespace}
data: ${globals:data}
dag: {retries: "${globals:retries}", catchup: "${globals:catchup}", group_by: "${globals:by}", tags: "${globals:tags}"}
tasks:
  x: {resources: "${_small}", retry_delay: "${globals:delay}", match: {tag: "${globals:tag}"}}
  y: ${tasks.x}
"""


def test_references_are_accepted_everywhere() -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read_yaml(REFERENCES))] == []


# --- where editors find it


def test_the_command_prints_it_without_a_settings_file(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["no-settings"], tmp_path / "p")
    result = kedro.run_command(*COMMAND, cwd=project)
    assert result.code == 0, result.output
    assert json.loads(result.out[result.out.index("{") :]) == SCHEMA


def test_the_command_overwrites_only_a_generated_file(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "p")
    file = project / "new" / "s.json"
    assert kedro.run_command(*COMMAND, "--output", "new/s.json", cwd=project).code == 0
    assert json.loads(file.read_text()) == SCHEMA
    file.write_text(file.read_text().replace('"title"', '"was"'))
    assert kedro.run_command(*COMMAND, "--output", "new/s.json", cwd=project).code == 0
    assert json.loads(file.read_text()) == SCHEMA
    file.write_text("{}")
    done = kedro.run_command(*COMMAND, "--output", "new/s.json", cwd=project)
    assert (done.code, "[file-foreign]" in done.err, file.read_text()) == (1, True, "{}")
    assert kedro.run_command(*COMMAND, "--output", "new/s.json", "--force", cwd=project).code == 0
    assert json.loads(file.read_text()) == SCHEMA


def read_schema_name(file: Path) -> Path:
    """The file that the first line of a settings file names as its schema."""
    first = file.read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# yaml-language-server: $schema=")
    return file.parent / first.partition("=")[2]


@pytest.mark.parametrize("conf", ["conf", "deep/er/conf"])
def test_init_refers_to_the_schema_that_it_writes(kedro: KedroServer, tmp_path: Path, conf: str) -> None:
    scenario = dataclasses.replace(BY_NAME["no-settings"], conf=conf, conf_source=conf)
    project = make_project(scenario, tmp_path / "p")
    done = kedro.run_command("k8s-airflow", "init", cwd=project)
    assert done.code == 0, done.output
    file = project / scenario.conf / "base" / "k8s_airflow.yml"
    assert json.loads(read_schema_name(file).read_text()) == SCHEMA
    assert VALIDATOR.is_valid(read_yaml(file.read_text()))
    assert read_schema_name(file).resolve() == project / schema.SCHEMA_PATH


def test_init_refers_to_no_schema_through_a_symbolic_link(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["no-settings"], tmp_path / "p")
    (project / "conf" / "base").rename(tmp_path / "base")
    (project / "conf" / "base").symlink_to(tmp_path / "base")
    done = kedro.run_command("k8s-airflow", "init", cwd=project)
    assert done.code == 0, done.output
    assert "yaml-language-server" not in (tmp_path / "base" / "k8s_airflow.yml").read_text()
    assert not (project / schema.SCHEMA_PATH).exists()


def test_create_updates_the_schema_but_neither_creates_nor_deletes_one(kedro: KedroServer, tmp_path: Path) -> None:
    project = make_project(BY_NAME["plain"], tmp_path / "p")
    file = project / schema.SCHEMA_PATH
    assert kedro.run_command("k8s-airflow", "create", cwd=project).code == 0
    assert not file.exists()
    old = json.dumps({"$comment": files.GENERATED_MARKER.decode(), "title": "of another version"})
    file.write_text(old)
    assert kedro.run_command("k8s-airflow", "create", "--check", cwd=project).code == 1
    assert file.read_text() == old
    assert kedro.run_command("k8s-airflow", "create", cwd=project).code == 0
    assert json.loads(file.read_text()) == SCHEMA
    before = read_tree(project)
    assert kedro.run_command("k8s-airflow", "create", "--check", cwd=project).code == 0
    file.write_text("{}")
    done = kedro.run_command("k8s-airflow", "create", cwd=project)
    assert (done.code, file.read_text()) == (0, "{}")
    assert {**read_tree(project), schema.SCHEMA_PATH: before[schema.SCHEMA_PATH]} == before


def test_the_schema_is_not_part_of_the_image_content(kedro: KedroServer, tmp_path: Path) -> None:
    from kedro_k8s_airflow.image import content_hash

    project = make_project(BY_NAME["plain"], tmp_path / "p")
    assert kedro.run_command("k8s-airflow", "create", cwd=project).code == 0
    ignored = (project / ".dockerignore").read_text()
    before = content_hash.hash_context(project, ignored)
    (project / schema.SCHEMA_PATH).write_text(schema.read_schema())
    assert content_hash.hash_context(project, ignored) == before
    assert ".k8s-airflow/pod.py" in set(content_hash.admitted_files(project, ignored))
